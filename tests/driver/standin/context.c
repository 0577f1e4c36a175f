/* Devices and contexts. */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "standin.h"

#define MOST_DEVICES 4
static Context* primaries[MOST_DEVICES];
static __thread Context* stack[32];
static __thread int depth;

Context* primary_of(int device) {
  if (!primaries[device]) {
    primaries[device] = handle_new(CONTEXT, sizeof(Context));
    primaries[device]->device = device, primaries[device]->primary = true;
  }
  return primaries[device];
}

Context* current(void) { return depth && handle_valid(stack[depth - 1], CONTEXT) ? stack[depth - 1] : NULL; }

static bool known(CUdevice device) { return device >= 0 && device < settings.devices; }

EXPORT CUresult cuInit(unsigned flags) {
  ENTER("flags=%u", flags);
  return leave(OK);
}

EXPORT CUresult cuDriverGetVersion(int* version) {
  ENTER(" ");
  *version = settings.version;
  return leave(OK);
}

EXPORT CUresult cuDeviceGetCount(int* count) {
  ENTER(" ");
  *count = settings.devices;
  return leave(OK);
}

EXPORT CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  ENTER("ordinal=%d", ordinal);
  *device = ordinal;
  return leave(known(ordinal) ? OK : INVALID_DEVICE);
}

EXPORT CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
  ENTER("device=%d", device);
  snprintf(name, length, "Stand-in GPU");
  return leave(OK);
}

EXPORT CUresult cuDeviceGetUuid_v2(char* uuid, CUdevice device) {
  ENTER("device=%d", device);
  memset(uuid, device, 16);
  return leave(OK);
}

EXPORT CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice device) {
  ENTER("device=%d", device);
  *bytes = (size_t)4 << 30;
  return leave(OK);
}

EXPORT CUresult cuDeviceGetAttribute(int* value, int attribute, CUdevice device) {
  ENTER("attribute=%d device=%d", attribute, device);
  switch (attribute) {
    case 18: *value = settings.integrated; break;
    case 75: *value = settings.major; break;
    case 76: *value = settings.minor; break;
    case 115: *value = settings.pools; break;
    case 1: case 2: case 3: *value = 1024; break;    /* threads of a block */
    case 4: *value = 64; break;
    case 5: *value = 0x7fffffff; break;              /* blocks of a grid */
    case 6: case 7: *value = 65535; break;
    case 16: *value = 8; break;                      /* multiprocessors */
    case 10: *value = 32; break;                     /* warp size */
    case 14: *value = 512; break;                    /* texture alignment */
    case 119: case 121: *value = 0; break;           /* handle types of pools, mem-op flags */
    default: *value = 1;
  }
  return leave(known(device) ? OK : INVALID_DEVICE);
}

EXPORT CUresult cuDeviceComputeCapability(int* major, int* minor, CUdevice device) {
  ENTER("device=%d", device);
  *major = settings.major, *minor = settings.minor;
  return leave(OK);
}

EXPORT CUresult cuDevicePrimaryCtxRetain(Context** context, CUdevice device) {
  ENTER("device=%d", device);
  if (!known(device)) return leave(INVALID_DEVICE);
  *context = primary_of(device);
  (*context)->retained++;
  return leave(OK);
}

EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  ENTER("device=%d", device);
  if (!primary_of(device)->retained) return leave(INVALID_CONTEXT);
  primary_of(device)->retained--;
  return leave(OK);
}

EXPORT CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned* flags, int* active) {
  ENTER("device=%d", device);
  *flags = 0, *active = primary_of(device)->retained > 0;
  return leave(OK);
}

EXPORT CUresult cuCtxCreate_v2(Context** context, unsigned flags, CUdevice device) {
  ENTER("flags=%u device=%d", flags, device);
  if (!known(device)) return leave(INVALID_DEVICE);
  *context = handle_new(CONTEXT, sizeof(Context));
  (*context)->device = device, (*context)->retained = 1;
  stack[depth++] = *context;
  return leave(OK);
}

EXPORT CUresult cuCtxCreate_v4(Context** context, void* parameters, unsigned flags, CUdevice device) {
  (void)parameters;
  return cuCtxCreate_v2(context, flags, device);
}

EXPORT CUresult cuCtxDestroy_v2(Context* context) {
  ENTER("context=%p", (void*)context);
  if (!handle_valid(context, CONTEXT) || context->primary) return leave(INVALID_CONTEXT);
  run_everything();
  if (depth && stack[depth - 1] == context) depth--;
  handle_free(context);
  return leave(OK);
}

EXPORT CUresult cuCtxDetach(Context* context) {
  if (handle_valid(context, CONTEXT) && context->primary) return cuDevicePrimaryCtxRelease_v2(context->device);
  return cuCtxDestroy_v2(context);
}

EXPORT CUresult cuCtxGetCurrent(Context** context) {
  ENTER(" ");
  *context = current();
  return leave(OK);
}

EXPORT CUresult cuCtxSetCurrent(Context* context) {
  ENTER("context=%p", (void*)context);
  if (context && !handle_valid(context, CONTEXT)) return leave(INVALID_CONTEXT);
  if (!context) {
    if (depth) depth--;
  } else if (depth) {
    stack[depth - 1] = context;
  } else {
    stack[depth++] = context;
  }
  return leave(OK);
}

EXPORT CUresult cuCtxPushCurrent_v2(Context* context) {
  ENTER("context=%p", (void*)context);
  if (!handle_valid(context, CONTEXT)) return leave(INVALID_CONTEXT);
  stack[depth++] = context;
  return leave(OK);
}

EXPORT CUresult cuCtxPopCurrent_v2(Context** context) {
  ENTER(" ");
  if (!depth) return leave(INVALID_CONTEXT);
  Context* popped = stack[--depth];
  if (context) *context = popped;
  return leave(OK);
}

EXPORT CUresult cuCtxGetDevice(CUdevice* device) {
  ENTER(" ");
  if (!current()) return leave(INVALID_CONTEXT);
  *device = current()->device;
  return leave(OK);
}

EXPORT CUresult cuCtxGetDevice_v2(CUdevice* device, Context* context) {
  ENTER("context=%p", (void*)context);
  Context* asked = context ? context : current();
  if (!asked) return leave(INVALID_CONTEXT);
  *device = asked->device;
  return leave(OK);
}

EXPORT CUresult cuCtxGetApiVersion(Context* context, unsigned* version) {
  ENTER("context=%p", (void*)context);
  *version = settings.version;
  return leave(OK);
}

EXPORT CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  ENTER(" ");
  *least = 0, *greatest = -5;
  return leave(current() ? OK : INVALID_CONTEXT);
}

EXPORT CUresult cuCtxSynchronize(void) {
  ENTER(" ");
  if (!current()) return leave(INVALID_CONTEXT);
  CUresult refused = unsafe();
  if (refused == OK) run_everything();
  return leave(refused);
}

EXPORT CUresult cuCtxSynchronize_v2(Context* context) {
  (void)context;
  return cuCtxSynchronize();
}
