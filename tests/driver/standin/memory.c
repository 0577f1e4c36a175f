/* Allocations, pools, copies and what is known of a pointer. */
#include <stdlib.h>
#include <string.h>

#include "standin.h"

typedef struct {
  uint64_t threshold;      /* bytes kept when the device is synchronised */
  size_t used, kept, high; /* bytes lent, and bytes kept for later */
  int device;
  bool owned;
} Pool;

typedef struct Block {
  struct Block* next;
  char* start;
  size_t bytes;
  enum { HOST_MEMORY = 1, DEVICE_MEMORY = 2 } type;
  Context* context; /* NULL for a pool's */
  int device;
  Pool* pool;
} Block;

static Block* blocks;
static Pool* pools[4];
static const size_t total = (size_t)4 << 30;

static Block* block_at(CUdeviceptr address) {
  for (Block* block = blocks; block; block = block->next)
    if ((char*)address >= block->start && (char*)address < block->start + block->bytes) return block;
  return NULL;
}

static void* allocate(size_t bytes, int type, Pool* pool) {
  Block* block = calloc(1, sizeof *block);
  block->bytes = bytes ? bytes : 1;
  block->type = type, block->pool = pool;
  block->context = pool ? NULL : current();
  block->device = pool ? pool->device : current() ? current()->device : 0;
  if (posix_memalign((void**)&block->start, 4096, block->bytes)) abort();
  memset(block->start, 0xA5, block->bytes);
  block->next = blocks, blocks = block;
  if (pool) {
    pool->kept -= pool->kept < bytes ? pool->kept : bytes;
    pool->used += bytes;
    if (pool->used > pool->high) pool->high = pool->used;
  }
  return block->start;
}

void memory_release(CUdeviceptr address) {
  for (Block** at = &blocks; *at; at = &(*at)->next)
    if ((*at)->start == (char*)address) {
      Block* block = *at;
      *at = block->next;
      if (block->pool && handle_valid(block->pool, POOL)) {
        block->pool->used -= block->bytes;
        block->pool->kept += block->bytes;
        if (block->pool->kept > block->pool->threshold) block->pool->kept = block->pool->threshold;
      }
      memset(block->start, 0xDD, block->bytes);
      free(block->start);
      free(block);
      return;
    }
}

static Pool* pool_of(int device) {
  if (!pools[device]) {
    pools[device] = handle_new(POOL, sizeof(Pool));
    pools[device]->device = device;
  }
  return pools[device];
}

/* For tests: bytes held of one type of memory (1 host, 2 device), lent and kept. */
EXPORT size_t standin_bytes(int type) {
  size_t sum = 0;
  pthread_mutex_lock(&lock);
  for (Block* block = blocks; block; block = block->next)
    if ((int)block->type == type) sum += block->bytes;
  for (int i = 0; type == DEVICE_MEMORY && i < 4; i++)
    if (pools[i]) sum += pools[i]->kept;
  pthread_mutex_unlock(&lock);
  return sum;
}

#define NEEDS_CONTEXT() \
  if (!current()) return leave(INVALID_CONTEXT)

static CUresult allocated(void** address, size_t bytes, int type) {
  CUresult refused = unsafe();
  if (refused == OK) *address = allocate(bytes, type, NULL);
  return refused;
}

EXPORT CUresult cuMemAlloc_v2(void** address, size_t bytes) {
  ENTER("bytes=%zu", bytes);
  NEEDS_CONTEXT();
  return leave(allocated(address, bytes, DEVICE_MEMORY));
}

EXPORT CUresult cuMemAllocPitch_v2(void** address, size_t* pitch, size_t width, size_t height, unsigned element) {
  ENTER("width=%zu height=%zu element=%u", width, height, element);
  NEEDS_CONTEXT();
  *pitch = (width + 511) / 512 * 512;
  return leave(allocated(address, *pitch * height, DEVICE_MEMORY));
}

EXPORT CUresult cuMemAllocHost_v2(void** address, size_t bytes) {
  ENTER("bytes=%zu", bytes);
  NEEDS_CONTEXT();
  return leave(allocated(address, bytes, HOST_MEMORY));
}

EXPORT CUresult cuMemHostAlloc(void** address, size_t bytes, unsigned flags) {
  ENTER("bytes=%zu flags=%u", bytes, flags);
  NEEDS_CONTEXT();
  return leave(allocated(address, bytes, HOST_MEMORY));
}

EXPORT CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr* address, void* host, unsigned flags) {
  ENTER("host=%p flags=%u", host, flags);
  Block* block = block_at((CUdeviceptr)host);
  if (!block || block->type != HOST_MEMORY) return leave(INVALID_VALUE);
  *address = (CUdeviceptr)host;
  return leave(OK);
}

static CUresult freed(CUdeviceptr address, int type) {
  Block* block = block_at(address);
  if (!block || (int)block->type != type || block->start != (char*)address) return INVALID_VALUE;
  CUresult refused = unsafe();
  if (refused != OK) return refused;
  run_everything(); /* as CUDA does */
  memory_release(address);
  return OK;
}

EXPORT CUresult cuMemFree_v2(CUdeviceptr address) {
  ENTER("address=%p", (void*)address);
  NEEDS_CONTEXT();
  return leave(freed(address, DEVICE_MEMORY));
}

EXPORT CUresult cuMemFreeHost(void* address) {
  ENTER("address=%p", address);
  NEEDS_CONTEXT();
  return leave(freed((CUdeviceptr)address, HOST_MEMORY));
}

EXPORT CUresult cuMemGetInfo_v2(size_t* free_bytes, size_t* total_bytes) {
  ENTER(" ");
  NEEDS_CONTEXT();
  size_t sum = 0;
  for (Block* block = blocks; block; block = block->next)
    if (block->type == DEVICE_MEMORY || settings.integrated) sum += block->bytes;
  for (int i = 0; i < 4; i++)
    if (pools[i]) sum += pools[i]->kept;
  *total_bytes = total, *free_bytes = total - sum;
  return leave(OK);
}

/* Pools. */

EXPORT CUresult cuDeviceGetDefaultMemPool(Pool** pool, CUdevice device) {
  ENTER("device=%d", device);
  *pool = pool_of(device);
  return leave(settings.pools ? OK : NOT_SUPPORTED);
}

EXPORT CUresult cuDeviceGetMemPool(Pool** pool, CUdevice device) { return cuDeviceGetDefaultMemPool(pool, device); }

EXPORT CUresult cuMemGetMemPool(Pool** pool, int* location, int type) {
  (void)type;
  return cuDeviceGetDefaultMemPool(pool, location[1]);
}

EXPORT CUresult cuMemPoolCreate(Pool** pool, const int* properties) {
  ENTER("device=%d", properties[3]);
  if (!settings.pools) return leave(NOT_SUPPORTED);
  *pool = handle_new(POOL, sizeof(Pool));
  (*pool)->owned = true, (*pool)->device = properties[3];
  return leave(OK);
}

EXPORT CUresult cuMemPoolDestroy(Pool* pool) {
  ENTER("pool=%p", (void*)pool);
  if (!handle_valid(pool, POOL) || !pool->owned) return leave(INVALID_VALUE);
  handle_free(pool);
  return leave(OK);
}

EXPORT CUresult cuMemPoolTrimTo(Pool* pool, size_t keep) {
  ENTER("pool=%p keep=%zu", (void*)pool, keep);
  if (pool->kept > keep) pool->kept = keep;
  return leave(OK);
}

EXPORT CUresult cuMemPoolSetAttribute(Pool* pool, int attribute, const uint64_t* value) {
  ENTER("pool=%p attribute=%d", (void*)pool, attribute);
  if (attribute == 4) pool->threshold = *value;
  return leave(OK);
}

EXPORT CUresult cuMemPoolGetAttribute(Pool* pool, int attribute, void* value) {
  ENTER("pool=%p attribute=%d", (void*)pool, attribute);
  switch (attribute) {
    case 4: *(uint64_t*)value = pool->threshold; break;
    case 5: case 6: *(uint64_t*)value = pool->used + pool->kept; break;
    case 7: *(uint64_t*)value = pool->used; break;
    case 8: *(uint64_t*)value = pool->high; break;
    default: *(int*)value = 1;
  }
  return leave(OK);
}

EXPORT CUresult cuMemPoolSetAccess(Pool* pool, const void* access, size_t count) {
  (void)access;
  ENTER("pool=%p count=%zu", (void*)pool, count);
  return leave(handle_valid(pool, POOL) ? OK : INVALID_VALUE);
}

EXPORT CUresult cuMemAllocFromPoolAsync(void** address, size_t bytes, Pool* pool, void* handle) {
  ENTER("bytes=%zu pool=%p stream=%p", bytes, (void*)pool, handle);
  CUresult why;
  Stream* stream = stream_of(handle, &why);
  if (!stream) return leave(why);
  if (!handle_valid(pool, POOL)) return leave(INVALID_VALUE);
  if (stream->capture) return leave(NOT_SUPPORTED);
  *address = allocate(bytes, DEVICE_MEMORY, pool);
  return leave(OK);
}

EXPORT CUresult cuMemAllocAsync(void** address, size_t bytes, void* handle) {
  return current() ? cuMemAllocFromPoolAsync(address, bytes, pool_of(current()->device), handle) : INVALID_CONTEXT;
}

EXPORT CUresult cuMemFreeAsync(CUdeviceptr address, void* handle) {
  ENTER("address=%p stream=%p", (void*)address, handle);
  CUresult why;
  Stream* stream = stream_of(handle, &why);
  if (!stream) return leave(why);
  if (!block_at(address)) return leave(INVALID_VALUE);
  return leave(put(stream, (Work){.what = FREE, .to = address}));
}

/* Copies. */

static CUresult copy(void* handle, CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  CUresult why;
  Stream* stream = stream_of(handle, &why);
  return stream ? put(stream, (Work){.what = COPY, .to = to, .from = from, .bytes = bytes}) : why;
}

/* Copies without a stream use the default one, which waits for all blocking streams, and wait for the end. */
static CUresult copy_now(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  CUresult refused = unsafe();
  if (refused != OK) return refused;
  run_everything();
  note("copy stream=default bytes=%zu", bytes);
  memmove((void*)to, (void*)from, bytes);
  return OK;
}

#define ASYNC_COPY(name, To, From)                                                            \
  EXPORT CUresult name(To to, From from, size_t bytes, void* handle) {                        \
    ENTER("stream=%p bytes=%zu to=%p from=%p", handle, bytes, (void*)to, (void*)from);        \
    return leave(copy(handle, (CUdeviceptr)to, (CUdeviceptr)from, bytes));                    \
  }
#define COPY_NOW(name, To, From)                                     \
  EXPORT CUresult name(To to, From from, size_t bytes) {             \
    ENTER("bytes=%zu", bytes);                                       \
    NEEDS_CONTEXT();                                                 \
    return leave(copy_now((CUdeviceptr)to, (CUdeviceptr)from, bytes)); \
  }

ASYNC_COPY(cuMemcpyAsync, CUdeviceptr, CUdeviceptr)
ASYNC_COPY(cuMemcpyHtoDAsync_v2, CUdeviceptr, const void*)
ASYNC_COPY(cuMemcpyDtoHAsync_v2, void*, CUdeviceptr)
ASYNC_COPY(cuMemcpyDtoDAsync_v2, CUdeviceptr, CUdeviceptr)
COPY_NOW(cuMemcpy, CUdeviceptr, CUdeviceptr)
COPY_NOW(cuMemcpyHtoD_v2, CUdeviceptr, const void*)
COPY_NOW(cuMemcpyDtoH_v2, void*, CUdeviceptr)
COPY_NOW(cuMemcpyDtoD_v2, CUdeviceptr, CUdeviceptr)

EXPORT CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, void* handle) {
  ENTER("stream=%p bytes=%zu", handle, count);
  CUresult why;
  Stream* stream = stream_of(handle, &why);
  if (!stream) return leave(why);
  return leave(put(stream, (Work){.what = SET, .to = to, .bytes = count, .value = value, .width = 1}));
}

EXPORT CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t count) {
  ENTER("bytes=%zu", count);
  run_everything();
  memset((void*)to, value, count);
  return leave(OK);
}

/* Pointers. */

static bool attribute_of(const Block* block, int attribute, void* value) {
  switch (attribute) {
    case 1: *(Context**)value = block->context; break;
    case 2: *(unsigned*)value = block->type; break;
    case 3: case 11: *(CUdeviceptr*)value = (CUdeviceptr)block->start; break;
    case 4: *(void**)value = block->type == HOST_MEMORY ? block->start : NULL; break;
    case 8: *(unsigned*)value = 0; break;
    case 9: *(int*)value = block->device; break;
    case 12: *(size_t*)value = block->bytes; break;
    case 17: *(Pool**)value = block->pool; break;
    default: return false;
  }
  return true;
}

static size_t width_of(int attribute) { return attribute == 2 || attribute == 8 || attribute == 9 ? 4 : 8; }

EXPORT CUresult cuPointerGetAttribute(void* value, int attribute, CUdeviceptr address) {
  ENTER("attribute=%d", attribute);
  Block* block = block_at(address);
  if (!block) return leave(INVALID_VALUE);
  return leave(attribute_of(block, attribute, value) ? OK : NOT_SUPPORTED);
}

EXPORT CUresult cuPointerGetAttributes(unsigned count, const int* attributes, void** values, CUdeviceptr address) {
  ENTER("count=%u", count);
  Block* block = block_at(address);
  for (unsigned i = 0; i < count; i++)
    if (!block || !attribute_of(block, attributes[i], values[i])) {
      memset(values[i], 0, width_of(attributes[i]));
      if (attributes[i] == 9) *(int*)values[i] = -2; /* no device */
    }
  return leave(OK);
}

EXPORT CUresult cuMemGetAddressRange_v2(CUdeviceptr* start, size_t* bytes, CUdeviceptr address) {
  ENTER("address=%p", (void*)address);
  Block* block = block_at(address);
  if (!block) return leave(INVALID_VALUE);
  if (start) *start = (CUdeviceptr)block->start;
  if (bytes) *bytes = block->bytes;
  return leave(OK);
}
