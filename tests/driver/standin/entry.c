/* How callers find the functions: cuGetProcAddress by name, or the dynamic linker. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "standin.h"

EXPORT CUresult cuGetErrorName(CUresult code, const char** name) {
  static const struct {
    int code;
    const char* name;
  } names[] = {
      {OK, "CUDA_SUCCESS"},
      {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE"},
      {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"},
      {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE"},
      {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT"},
      {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE"},
      {ILLEGAL_STATE, "CUDA_ERROR_ILLEGAL_STATE"},
      {NOT_FOUND, "CUDA_ERROR_NOT_FOUND"},
      {NOT_READY, "CUDA_ERROR_NOT_READY"},
      {700, "CUDA_ERROR_ILLEGAL_ADDRESS"},
      {CONTEXT_IS_DESTROYED, "CUDA_ERROR_CONTEXT_IS_DESTROYED"},
      {719, "CUDA_ERROR_LAUNCH_FAILED"},
      {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED"},
      {CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
      {CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"},
  };
  *name = "CUDA_ERROR_UNKNOWN";
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (names[i].code == code) *name = names[i].name;
  return OK;
}

EXPORT CUresult cuGetErrorString(CUresult code, const char** text) { return cuGetErrorName(code, text); }

/* What the stand-in lacks: each name gets a function of its own, so that the log tells what was missing. */
static char lacking[1024][64];
static int lacks;

static CUresult not_supported(int which) {
  CUresult asked = enter(lacking[which], "missing=1");
  return leave(asked != OK ? asked : NOT_SUPPORTED);
}

#define ONE(n) \
  static CUresult missing_##n(void) { return not_supported(0x##n); }
#define SIXTEEN(n) \
  ONE(n##0) ONE(n##1) ONE(n##2) ONE(n##3) ONE(n##4) ONE(n##5) ONE(n##6) ONE(n##7) \
  ONE(n##8) ONE(n##9) ONE(n##a) ONE(n##b) ONE(n##c) ONE(n##d) ONE(n##e) ONE(n##f)
#define ALL(n) \
  SIXTEEN(n##0) SIXTEEN(n##1) SIXTEEN(n##2) SIXTEEN(n##3) SIXTEEN(n##4) SIXTEEN(n##5) SIXTEEN(n##6) SIXTEEN(n##7) \
  SIXTEEN(n##8) SIXTEEN(n##9) SIXTEEN(n##a) SIXTEEN(n##b) SIXTEEN(n##c) SIXTEEN(n##d) SIXTEEN(n##e) SIXTEEN(n##f)
ALL(0) ALL(1) ALL(2) ALL(3)
#undef ONE
#define ONE(n) missing_##n,
static CUresult (*const missing[])(void) = {ALL(0) ALL(1) ALL(2) ALL(3)};

static void* missing_function(const char* name) {
  for (int i = 0; i < lacks; i++)
    if (!strcmp(lacking[i], name)) return (void*)missing[i];
  if (lacks == 1024) return (void*)missing[0];
  snprintf(lacking[lacks], sizeof *lacking, "%s", name);
  return (void*)missing[lacks++];
}

/* Functions that came after CUDA 12.6, the oldest driver that is played here. */
static const struct {
  const char *name, *function;
  int since;
} later[] = {{"cuEventElapsedTime", "cuEventElapsedTime_v2", 12080},
             {"cuStreamGetCtx", "cuStreamGetCtx_v2", 12050},
             {"cuStreamGetCaptureInfo", "cuStreamGetCaptureInfo_v3", 12030},
             {"cuCtxCreate", "cuCtxCreate_v4", 12050},
             {"cuCtxGetDevice", "cuCtxGetDevice_v2", 13000},
             {"cuCtxSynchronize", "cuCtxSynchronize_v2", 13000}};

/* The newest variant of a function that is not newer than `version`. */
void* function_named(const char* name, int version) {
  static void* self;
  char versioned[128];
  if (!self) self = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
  for (size_t i = 0; i < sizeof later / sizeof *later; i++)
    if (!strcmp(later[i].name, name) && version >= later[i].since) return dlsym(self, later[i].function);
  for (int variant = 2; variant >= 1; variant--) {
    snprintf(versioned, sizeof versioned, variant > 1 ? "%s_v%d" : "%s", name, variant);
    bool is_later = false;
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) is_later |= !strcmp(later[i].function, versioned);
    void* found = is_later ? NULL : dlsym(self, versioned);
    if (found) return found;
  }
  return NULL;
}

/* A version later than the driver's is not found, as drivers do. */
EXPORT CUresult cuGetProcAddress_v2(const char* name, void** function, int version, uint64_t flags, int* status) {
  (void)flags;
  *function = NULL;
  if (status) *status = 1;
  if (version > settings.version) return NOT_FOUND;
  if (status) *status = 0;
  *function = function_named(name, version);
  if (!*function) *function = missing_function(name);
  return OK;
}

EXPORT CUresult cuGetProcAddress(const char* name, void** function, int version, uint64_t flags) {
  return cuGetProcAddress_v2(name, function, version, flags, NULL);
}

EXPORT CUresult cuGetExportTable(const void** table, const void* id) {
  (void)id;
  *table = NULL;
  return NOT_FOUND;
}
