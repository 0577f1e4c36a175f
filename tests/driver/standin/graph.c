/* Capturing and replaying. A graph is a list, as what one stream captures is. */
#include <stdlib.h>

#include "standin.h"

static void user_object_release(UserObject* object, int times) {
  if ((object->references -= times) > 0) return;
  pthread_mutex_unlock(&lock);
  object->destroy(object->data);
  pthread_mutex_lock(&lock);
  handle_free(object);
}

void graph_empty(Graph* graph) {
  for (Work* next; graph->first; graph->first = next) {
    next = graph->first->next;
    work_free(graph->first);
  }
  while (graph->held) user_object_release(graph->objects[--graph->held], 1);
}

static void retain(Graph* graph, UserObject* object) {
  if (graph->held < 64) graph->objects[graph->held++] = object;
}

#define STREAM_OF(handle)                          \
  CUresult why;                                    \
  Stream* stream = stream_of((void*)handle, &why); \
  if (!stream) return leave(why)

EXPORT CUresult cuStreamBeginCapture_v2(void* handle, int mode) {
  ENTER("stream=%p mode=%d", handle, mode);
  STREAM_OF(handle);
  if (stream->capture) return leave(ILLEGAL_STATE);
  if ((uintptr_t)handle <= 1) return leave(CAPTURE_UNSUPPORTED);
  stream->capture = handle_new(GRAPH, sizeof(Graph));
  stream->invalidated = false, stream->mode = mode, stream->capturer = pthread_self();
  return leave(OK);
}

EXPORT CUresult cuStreamEndCapture(void* handle, Graph** graph) {
  ENTER("stream=%p", handle);
  STREAM_OF(handle);
  if (!stream->capture) return leave(ILLEGAL_STATE);
  Graph* captured = stream->capture;
  stream->capture = NULL;
  *graph = stream->invalidated ? NULL : captured;
  if (!stream->invalidated) return leave(OK);
  graph_empty(captured);
  handle_free(captured);
  return leave(CAPTURE_INVALIDATED);
}

/* 0 none, 1 active, 2 invalidated. */
static int state(const Stream* stream) { return stream->capture ? 1 + stream->invalidated : 0; }

EXPORT CUresult cuStreamIsCapturing(void* handle, int* status) {
  ENTER("stream=%p", handle);
  STREAM_OF(handle);
  *status = state(stream);
  return leave(OK);
}

EXPORT CUresult cuStreamGetCaptureInfo_v3(void* handle, int* status, uint64_t* id, Graph** graph, void** nodes,
                                          void** edges, size_t* number) {
  ENTER("stream=%p", handle);
  STREAM_OF(handle);
  *status = state(stream);
  if (id) *id = (uintptr_t)stream->capture;
  if (graph) *graph = stream->capture;
  if (nodes) *nodes = NULL;
  if (edges) *edges = NULL;
  if (number) *number = 0;
  return leave(OK);
}

EXPORT CUresult cuStreamGetCaptureInfo_v2(void* handle, int* status, uint64_t* id, Graph** graph, void** nodes,
                                          size_t* number) {
  return cuStreamGetCaptureInfo_v3(handle, status, id, graph, nodes, NULL, number);
}

EXPORT CUresult cuThreadExchangeStreamCaptureMode(int* mode) {
  static __thread int own;
  ENTER("mode=%d", *mode);
  int before = own;
  own = *mode, *mode = before;
  return leave(OK);
}

EXPORT CUresult cuGraphInstantiateWithFlags(Exec** exec, Graph* graph, uint64_t flags) {
  ENTER("graph=%p flags=%llu", (void*)graph, (unsigned long long)flags);
  if (!handle_valid(graph, GRAPH)) return leave(INVALID_VALUE);
  /* The handle holds a reference to what it replays, as launches that have not run yet do. */
  Exec** held = handle_new(EXEC, sizeof(Exec*));
  *held = calloc(1, sizeof(Exec));
  (*held)->references = 1;
  for (Work* work = graph->first; work; work = work->next) {
    Work* copy = work_copy(work);
    if ((*held)->graph.first) (*held)->graph.last->next = copy; else (*held)->graph.first = copy;
    (*held)->graph.last = copy;
  }
  for (int i = 0; i < graph->held; i++) {
    graph->objects[i]->references++;
    retain(&(*held)->graph, graph->objects[i]);
  }
  *exec = (Exec*)held;
  return leave(OK);
}

EXPORT CUresult cuGraphInstantiateWithParams(Exec** exec, Graph* graph, void* parameters) {
  *(int*)((char*)parameters + 24) = 0; /* the result in CUDA_GRAPH_INSTANTIATE_PARAMS: success */
  return cuGraphInstantiateWithFlags(exec, graph, *(uint64_t*)parameters);
}

EXPORT CUresult cuGraphUpload(Exec* exec, void* handle) {
  ENTER("exec=%p stream=%p", (void*)exec, handle);
  STREAM_OF(handle);
  return leave(handle_valid(exec, EXEC) ? OK : INVALID_HANDLE);
}

EXPORT CUresult cuGraphLaunch(Exec* exec, void* handle) {
  ENTER("exec=%p stream=%p", (void*)exec, handle);
  STREAM_OF(handle);
  if (!handle_valid(exec, EXEC)) return leave(INVALID_HANDLE);
  return leave(put(stream, (Work){.what = REPLAY, .exec = *(Exec**)exec}));
}

EXPORT CUresult cuGraphExecDestroy(Exec* exec) {
  ENTER("exec=%p", (void*)exec);
  if (!handle_valid(exec, EXEC)) return leave(INVALID_HANDLE);
  Work* holder = calloc(1, sizeof *holder);
  holder->what = REPLAY, holder->exec = *(Exec**)exec;
  work_free(holder);
  handle_free(exec);
  return leave(OK);
}

EXPORT CUresult cuGraphDestroy(Graph* graph) {
  ENTER("graph=%p", (void*)graph);
  if (!handle_valid(graph, GRAPH)) return leave(INVALID_HANDLE);
  graph_empty(graph);
  handle_free(graph);
  return leave(OK);
}

EXPORT CUresult cuGraphGetNodes(Graph* graph, void** nodes, size_t* number) {
  ENTER("graph=%p", (void*)graph);
  (void)nodes;
  *number = 0;
  for (Work* work = graph->first; work; work = work->next) (*number)++;
  return leave(OK);
}

EXPORT CUresult cuUserObjectCreate(UserObject** object, void* data, void (*destroy)(void*), unsigned references,
                                   unsigned flags) {
  ENTER("flags=%u", flags);
  *object = handle_new(USER_OBJECT, sizeof(UserObject));
  **object = (UserObject){data, destroy, (int)references};
  return leave(OK);
}

EXPORT CUresult cuUserObjectRetain(UserObject* object, unsigned times) {
  ENTER("object=%p", (void*)object);
  if (!handle_valid(object, USER_OBJECT)) return leave(INVALID_VALUE);
  object->references += (int)times;
  return leave(OK);
}

EXPORT CUresult cuUserObjectRelease(UserObject* object, unsigned times) {
  ENTER("object=%p", (void*)object);
  if (!handle_valid(object, USER_OBJECT)) return leave(INVALID_VALUE);
  user_object_release(object, (int)times);
  return leave(OK);
}

/* The flag 1 hands the caller's own reference over. */
EXPORT CUresult cuGraphRetainUserObject(Graph* graph, UserObject* object, unsigned times, unsigned flags) {
  ENTER("graph=%p object=%p flags=%u", (void*)graph, (void*)object, flags);
  if (!handle_valid(graph, GRAPH) || !handle_valid(object, USER_OBJECT)) return leave(INVALID_VALUE);
  if (!(flags & 1)) object->references += (int)times;
  for (unsigned i = 0; i < times; i++) retain(graph, object);
  return leave(OK);
}

EXPORT CUresult cuGraphReleaseUserObject(Graph* graph, UserObject* object, unsigned times) {
  ENTER("graph=%p object=%p", (void*)graph, (void*)object);
  if (!handle_valid(graph, GRAPH) || !handle_valid(object, USER_OBJECT)) return leave(INVALID_VALUE);
  for (int i = graph->held - 1; i >= 0 && times; i--)
    if (graph->objects[i] == object) {
      graph->objects[i] = graph->objects[--graph->held];
      user_object_release(object, 1);
      times--;
    }
  return leave(OK);
}
