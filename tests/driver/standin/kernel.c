/* Modules and kernels. Any code loads and holds every name; a test may say what a kernel does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "standin.h"

typedef struct {
  size_t count;
  Kernel* kernels[64];
} Library;

static Kernel known[64];
static int number;

/* For tests: what a kernel of this name does, and the sizes of its arguments. */
EXPORT void standin_kernel(const char* name, void (*function)(void**, const unsigned*, const unsigned*), int count,
                           const size_t* sizes) {
  Kernel* kernel = &known[number++ % 64];
  snprintf(kernel->name, sizeof kernel->name, "%s", name);
  kernel->function = function, kernel->count = count, kernel->sizes = sizes;
}

static CUresult loaded(Library** library, const void* code) {
  if (!code) return INVALID_VALUE;
  *library = handle_new(LIBRARY, sizeof(Library));
  return OK;
}

static CUresult kernel_named(Kernel** found, Library* library, const char* name) {
  if (!handle_valid(library, LIBRARY)) return INVALID_HANDLE;
  for (size_t i = 0; i < library->count; i++)
    if (!strcmp(library->kernels[i]->name, name)) {
      *found = library->kernels[i];
      return OK;
    }
  Kernel* kernel = handle_new(KERNEL, sizeof(Kernel));
  snprintf(kernel->name, sizeof kernel->name, "%s", name);
  for (int i = 0; i < number && i < 64; i++)
    if (!strcmp(known[i].name, name)) *kernel = known[i];
  *found = library->kernels[library->count++] = kernel;
  return OK;
}

static CUresult unloaded(Library* library) {
  if (!handle_valid(library, LIBRARY)) return INVALID_HANDLE;
  run_everything();
  for (size_t i = 0; i < library->count; i++) handle_free(library->kernels[i]);
  handle_free(library);
  return OK;
}

EXPORT CUresult cuLibraryLoadData(Library** library, const void* code, void* a, void* b, unsigned c, void* d, void* e,
                                  unsigned f) {
  (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
  ENTER(" ");
  return leave(loaded(library, code));
}

EXPORT CUresult cuLibraryLoadFromFile(Library** library, const char* file, void* a, void* b, unsigned c, void* d,
                                      void* e, unsigned f) {
  (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
  ENTER("file=%s", file);
  return leave(loaded(library, file));
}

EXPORT CUresult cuLibraryGetKernel(Kernel** kernel, Library* library, const char* name) {
  ENTER("name=%s", name);
  return leave(kernel_named(kernel, library, name));
}

EXPORT CUresult cuLibraryUnload(Library* library) {
  ENTER("library=%p", (void*)library);
  return leave(unloaded(library));
}

EXPORT CUresult cuModuleLoadDataEx(Library** module, const void* code, unsigned count, void* options, void* values) {
  (void)count, (void)options, (void)values;
  ENTER(" ");
  return leave(loaded(module, code));
}

EXPORT CUresult cuModuleGetFunction(Kernel** kernel, Library* module, const char* name) {
  ENTER("name=%s", name);
  return leave(kernel_named(kernel, module, name));
}

EXPORT CUresult cuModuleUnload(Library* module) {
  ENTER("module=%p", (void*)module);
  return leave(unloaded(module));
}

EXPORT CUresult cuKernelGetFunction(Kernel** function, Kernel* kernel) {
  ENTER("kernel=%p", (void*)kernel);
  *function = kernel;
  return leave(handle_valid(kernel, KERNEL) ? OK : INVALID_HANDLE);
}

EXPORT CUresult cuKernelGetAttribute(int* value, int attribute, Kernel* kernel, CUdevice device) {
  ENTER("attribute=%d device=%d", attribute, device);
  *value = attribute == 0 ? 1024 : 0;
  return leave(handle_valid(kernel, KERNEL) ? OK : INVALID_HANDLE);
}

EXPORT CUresult cuFuncGetAttribute(int* value, int attribute, Kernel* kernel) {
  return cuKernelGetAttribute(value, attribute, kernel, 0);
}

static CUresult launched(Kernel* kernel, const unsigned* grid, const unsigned* block, void* handle, void** arguments) {
  CUresult why;
  Stream* stream = stream_of(handle, &why);
  if (!stream) return why;
  if (!handle_valid(kernel, KERNEL)) return INVALID_HANDLE;
  KernelCall call = {.kernel = *kernel, .arguments = arguments};
  memcpy(call.grid, grid, sizeof call.grid);
  memcpy(call.block, block, sizeof call.block);
  return put(stream, (Work){.what = LAUNCH, .call = &call});
}

typedef struct {
  unsigned grid[3], block[3], shared;
  void* stream;
} LaunchConfig; /* the front of CUlaunchConfig */

EXPORT CUresult cuLaunchKernelEx(const LaunchConfig* config, Kernel* kernel, void** arguments, void** extra) {
  (void)extra;
  ENTER("stream=%p name=%s grid=%u,%u block=%u,%u", config->stream,
        handle_valid(kernel, KERNEL) ? kernel->name : "?", config->grid[0], config->grid[1], config->block[0],
        config->block[1]);
  return leave(launched(kernel, config->grid, config->block, config->stream, arguments));
}

EXPORT CUresult cuLaunchKernel(Kernel* kernel, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                               unsigned bz, unsigned shared, void* stream, void** arguments, void** extra) {
  (void)shared;
  LaunchConfig config = {.grid = {gx, gy, gz}, .block = {bx, by, bz}, .stream = stream};
  return cuLaunchKernelEx(&config, kernel, arguments, extra);
}
