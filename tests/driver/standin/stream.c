/* Streams, events and the work on them. */
#include <stdlib.h>
#include <string.h>

#include "standin.h"

typedef struct {
  Marker* marker; /* of the last record */
  unsigned flags;
  Context* context;
} Event;

static Stream* streams[4096];
static int count;
static struct { Context* context; Stream* stream; } defaults[64];
static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;

static Stream* stream_new(Context* context, unsigned flags, int priority) {
  Stream* stream = handle_new(STREAM, sizeof(Stream));
  stream->context = context, stream->flags = flags, stream->priority = priority;
  streams[count++] = stream;
  return stream;
}

/* Handles 0 and 1 are the legacy default stream of the current context, 2 the one of the thread. */
Stream* stream_of(void* handle, CUresult* why) {
  *why = OK;
  if ((uintptr_t)handle <= 2) {
    Context* context = current();
    *why = context ? OK : INVALID_CONTEXT;
    for (int i = 0; context && i < 64; i++) {
      if (defaults[i].context == context) return defaults[i].stream;
      if (!defaults[i].context) {
        defaults[i].context = context;
        return defaults[i].stream = stream_new(context, 0, 0);
      }
    }
    return NULL;
  }
  if (!handle_valid(handle, STREAM)) *why = INVALID_HANDLE;
  else if (!handle_valid(((Stream*)handle)->context, CONTEXT)) *why = CONTEXT_IS_DESTROYED;
  return *why == OK ? handle : NULL;
}

/* Work. */

void marker_release(Marker* marker) {
  if (marker && --marker->references == 0) free(marker);
}

void work_free(Work* work) {
  marker_release(work->marker);
  if (work->exec && --work->exec->references == 0) {
    graph_empty(&work->exec->graph);
    free(work->exec);
  }
  if (work->call) {
    for (int i = 0; i < work->call->kernel.count; i++) free(work->call->arguments[i]);
    free(work->call->arguments);
    free(work->call);
  }
  free(work);
}

Work* work_copy(const Work* work) {
  Work* copy = malloc(sizeof *copy);
  *copy = *work, copy->next = NULL;
  if (copy->marker) copy->marker->references++;
  if (copy->exec) copy->exec->references++;
  if (work->call) {
    copy->call = malloc(sizeof(KernelCall));
    *copy->call = *work->call;
    int arguments = work->call->kernel.count;
    copy->call->arguments = calloc(arguments + 1, sizeof(void*));
    for (int i = 0; i < arguments; i++) {
      size_t bytes = work->call->kernel.sizes[i];
      copy->call->arguments[i] = memcpy(malloc(bytes), work->call->arguments[i], bytes);
    }
  }
  return copy;
}

CUresult put(Stream* stream, Work work) {
  if (stream->capture && stream->invalidated) return CAPTURE_INVALIDATED;
  if (stream->capture && work.what == FREE) return CAPTURE_UNSUPPORTED;
  Work* copy = work_copy(&work);
  Work** first = stream->capture ? &stream->capture->first : &stream->first;
  Work** last = stream->capture ? &stream->capture->last : &stream->last;
  if (*first) (*last)->next = copy; else *first = copy;
  *last = copy;
  return OK;
}

static void run(Stream* stream, Work* work) {
  switch (work->what) {
    case COPY:
      note("copy stream=%p bytes=%zu", (void*)stream, work->bytes);
      memmove((void*)work->to, (void*)work->from, work->bytes);
      break;
    case SET:
      for (size_t i = 0; i < work->bytes; i++) memcpy((char*)work->to + i * work->width, &work->value, work->width);
      break;
    case HOST:  /* may call back into the driver, and into Python */
      pthread_mutex_unlock(&lock);
      work->function(work->data);
      pthread_mutex_lock(&lock);
      break;
    case LAUNCH:
      note("kernel stream=%p name=%s", (void*)stream, work->call->kernel.name);
      if (work->call->kernel.function) {
        pthread_mutex_unlock(&lock);
        work->call->kernel.function(work->call->arguments, work->call->grid, work->call->block);
        pthread_mutex_lock(&lock);
      }
      break;
    case FREE: memory_release(work->to); break;
    case MARK: work->marker->done = true, work->marker->at_ms = now_ms(); break;
    case WAIT: if (!work->marker->done) run_until(work->marker->stream, work->marker); break;
    case REPLAY:
      note("graph stream=%p", (void*)stream);
      for (Work* part = work->exec->graph.first; part; part = part->next) run(stream, part);
  }
}

void run_until(Stream* stream, Marker* marker) {
  while (handle_valid(stream, STREAM) && !(marker && marker->done)) {
    if (stream->busy) {
      pthread_cond_wait(&idle, &lock);
      continue;
    }
    Work* work = stream->first;
    if (!work) return;
    stream->first = work->next, stream->busy = true;
    run(stream, work);
    work_free(work);
    stream->busy = false;
    pthread_cond_broadcast(&idle);
  }
}

void run_everything(void) {
  for (int i = 0; i < count; i++) run_until(streams[i], NULL);
}

/* A thread that captures in the global or thread-local mode may not make calls that could wait for the device. */
CUresult unsafe(void) {
  for (int i = 0; i < count; i++) {
    Stream* stream = streams[i];
    bool ours = stream->mode == 0 || (stream->mode == 1 && pthread_equal(stream->capturer, pthread_self()));
    if (stream->capture && ours) {
      stream->invalidated = true;
      return CAPTURE_UNSUPPORTED;
    }
  }
  return OK;
}

#define STREAM_OF(handle)                          \
  CUresult why;                                    \
  Stream* stream = stream_of((void*)handle, &why); \
  if (!stream) return leave(why)

EXPORT CUresult cuStreamCreateWithPriority(Stream** stream, unsigned flags, int priority) {
  ENTER("flags=%u priority=%d", flags, priority);
  if (!current()) return leave(INVALID_CONTEXT);
  *stream = stream_new(current(), flags, priority);
  return leave(OK);
}

EXPORT CUresult cuStreamCreate(Stream** stream, unsigned flags) { return cuStreamCreateWithPriority(stream, flags, 0); }

EXPORT CUresult cuStreamDestroy_v2(void* handle) {
  ENTER("stream=%p", handle);
  STREAM_OF(handle);
  run_until(stream, NULL);
  for (int i = 0; i < count; i++)
    if (streams[i] == stream) streams[i] = streams[--count];
  handle_free(stream);
  return leave(OK);
}

EXPORT CUresult cuStreamSynchronize(void* handle) {
  ENTER("stream=%p", handle);
  STREAM_OF(handle);
  if (stream->capture) {
    stream->invalidated = true;
    return leave(CAPTURE_UNSUPPORTED);
  }
  run_until(stream, NULL);
  return leave(OK);
}

EXPORT CUresult cuStreamQuery(void* handle) { return cuStreamSynchronize(handle); }

EXPORT CUresult cuStreamGetCtx(void* handle, Context** context) {
  ENTER("stream=%p", handle);
  STREAM_OF(handle);
  *context = stream->context;
  return leave(OK);
}

EXPORT CUresult cuStreamGetCtx_v2(void* handle, Context** context, void** green) {
  if (green) *green = NULL;
  return cuStreamGetCtx(handle, context);
}

EXPORT CUresult cuStreamGetFlags(void* handle, unsigned* flags) {
  ENTER("stream=%p", handle);
  STREAM_OF(handle);
  *flags = stream->flags;
  return leave(OK);
}

EXPORT CUresult cuStreamGetPriority(void* handle, int* priority) {
  ENTER("stream=%p", handle);
  STREAM_OF(handle);
  *priority = stream->priority;
  return leave(OK);
}

EXPORT CUresult cuStreamGetDevice(void* handle, CUdevice* device) {
  ENTER("stream=%p", handle);
  STREAM_OF(handle);
  *device = stream->context->device;
  return leave(OK);
}

EXPORT CUresult cuLaunchHostFunc(void* handle, void (*function)(void*), void* data) {
  ENTER("stream=%p", handle);
  STREAM_OF(handle);
  return leave(put(stream, (Work){.what = HOST, .function = function, .data = data}));
}

/* Events. */

EXPORT CUresult cuEventCreate(Event** event, unsigned flags) {
  ENTER("flags=%u", flags);
  if (!current()) return leave(INVALID_CONTEXT);
  *event = handle_new(EVENT, sizeof(Event));
  (*event)->flags = flags, (*event)->context = current();
  return leave(OK);
}

EXPORT CUresult cuEventDestroy_v2(Event* event) {
  ENTER("event=%p", (void*)event);
  if (!handle_valid(event, EVENT)) return leave(INVALID_HANDLE);
  marker_release(event->marker);
  handle_free(event);
  return leave(OK);
}

EXPORT CUresult cuEventRecord(Event* event, void* handle) {
  ENTER("event=%p stream=%p", (void*)event, handle);
  STREAM_OF(handle);
  if (!handle_valid(event, EVENT) || event->context != stream->context) return leave(INVALID_HANDLE);
  Marker* marker = calloc(1, sizeof *marker);
  marker->references = 1, marker->stream = stream;
  CUresult result = put(stream, (Work){.what = MARK, .marker = marker});
  marker_release(event->marker);
  event->marker = marker;
  return leave(result);
}

EXPORT CUresult cuEventRecordWithFlags(Event* event, void* handle, unsigned flags) {
  (void)flags;
  return cuEventRecord(event, handle);
}

EXPORT CUresult cuStreamWaitEvent(void* handle, Event* event, unsigned flags) {
  ENTER("stream=%p event=%p flags=%u", handle, (void*)event, flags);
  STREAM_OF(handle);
  if (!handle_valid(event, EVENT)) return leave(INVALID_HANDLE);
  if (!event->marker) return leave(OK);
  /* Waiting for a captured event would join the capture, which is more than is needed here. */
  if (event->marker->stream->capture && event->marker->stream != stream) return leave(CAPTURE_UNSUPPORTED);
  return leave(put(stream, (Work){.what = WAIT, .marker = event->marker}));
}

EXPORT CUresult cuEventSynchronize(Event* event) {
  ENTER("event=%p", (void*)event);
  if (!handle_valid(event, EVENT)) return leave(INVALID_HANDLE);
  CUresult refused = unsafe();
  if (refused == OK && event->marker) run_until(event->marker->stream, event->marker);
  return leave(refused);
}

EXPORT CUresult cuEventQuery(Event* event) { return cuEventSynchronize(event); }

static CUresult elapsed(float* ms, Event* start, Event* end) {
  if (!handle_valid(start, EVENT) || !handle_valid(end, EVENT)) return INVALID_HANDLE;
  if ((start->flags | end->flags) & 2) return INVALID_HANDLE; /* made without timing */
  if (!start->marker || !end->marker) return INVALID_HANDLE;
  if (!start->marker->done || !end->marker->done) return NOT_READY;
  *ms = (float)(end->marker->at_ms - start->marker->at_ms);
  return OK;
}

EXPORT CUresult cuEventElapsedTime(float* ms, Event* start, Event* end) {
  ENTER("start=%p end=%p", (void*)start, (void*)end);
  return leave(elapsed(ms, start, end));
}

EXPORT CUresult cuEventElapsedTime_v2(float* ms, Event* start, Event* end) {
  ENTER("start=%p end=%p", (void*)start, (void*)end);
  return leave(elapsed(ms, start, end));
}
