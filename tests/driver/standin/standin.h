/* A stand-in for the CUDA driver (libcuda.so.1), for tests on machines without a GPU.

   Device memory is host memory and kernels are functions of the test, so that results are real. Everything else follows
   the driver's rules, and where the driver is free to choose, the stand-in does what finds most mistakes:

   - Work put on a stream runs as late as possible: when something waits for it. A buffer that is reused too early, or a
     missing event between two streams, gives a wrong result every time.
   - New memory is filled with 0xA5, freed memory with 0xDD.
   - While a stream is captured nothing on it runs, and calls that CUDA forbids then invalidate the capture.

   tests/standin.py builds it and reads its log. */
#ifndef STANDIN_H
#define STANDIN_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;

enum {
  OK = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  INVALID_CONTEXT = 201,
  INVALID_DEVICE = 101,
  INVALID_HANDLE = 400,
  NOT_FOUND = 500,
  NOT_READY = 600,
  CONTEXT_IS_DESTROYED = 709,
  NOT_SUPPORTED = 801,
  CAPTURE_UNSUPPORTED = 900,
  CAPTURE_INVALIDATED = 901,
  ILLEGAL_STATE = 401,
};

#define EXPORT __attribute__((visibility("default")))

/* Settings, from the environment. */
typedef struct {
  int version, devices, major, minor;
  bool integrated, pools;
} Settings;
extern Settings settings;

/* Every call enters here first: it is logged, and fails if a test asked for that. Holds the lock until `leave`. */
CUresult enter(const char* name, const char* format, ...) __attribute__((format(printf, 2, 3)));
CUresult leave(CUresult result);
void note(const char* format, ...) __attribute__((format(printf, 1, 2))); /* a line of the log: what ran, not what was called */
extern pthread_mutex_t lock;
#define ENTER(...)                                   \
  do {                                               \
    CUresult asked = enter(__func__, __VA_ARGS__);   \
    if (asked != OK) return leave(asked);            \
  } while (0)

/* Handles: an unknown or closed one is recognised. */
typedef enum { CONTEXT = 1, STREAM, EVENT, GRAPH, EXEC, POOL, LIBRARY, KERNEL, USER_OBJECT } Kind;
void* handle_new(Kind kind, size_t size);
bool handle_valid(const void* handle, Kind kind);
void handle_free(void* handle); /* the handle is invalid from now on */

typedef struct {
  int device, retained;
  bool primary;
} Context;
Context* current(void);          /* of this thread; NULL for none */
Context* primary_of(int device); /* whether or not it is retained */

/* A point on a stream, which events name and other streams wait for. */
typedef struct Marker {
  int references;
  bool done;
  double at_ms;
  struct Stream* stream;
} Marker;

typedef struct Kernel {
  char name[128];
  void (*function)(void** arguments, const unsigned* grid, const unsigned* block);
  int count;
  const size_t* sizes;
} Kernel;

typedef struct KernelCall {
  Kernel kernel; /* a copy: the library may be unloaded before a graph that launches it */
  unsigned grid[3], block[3];
  void** arguments; /* copies */
} KernelCall;

typedef struct Work {
  enum { COPY, SET, HOST, LAUNCH, FREE, MARK, WAIT, REPLAY } what;
  struct Work* next;
  CUdeviceptr to, from;
  size_t bytes;
  unsigned value, width;
  void (*function)(void*);
  void* data;
  KernelCall* call;
  Marker* marker;
  struct Exec* exec;
} Work;

typedef struct Stream {
  Context* context;
  unsigned flags;
  int priority;
  Work *first, *last;
  bool busy; /* a thread is running its work */
  struct Graph* capture;
  bool invalidated;
  int mode;
  pthread_t capturer;
} Stream;

/* What a graph keeps alive: an object of the caller's, destroyed with its last reference. */
typedef struct {
  void* data;
  void (*destroy)(void*);
  int references;
} UserObject;

typedef struct Graph {
  Work *first, *last;
  UserObject* objects[64];
  int held;
} Graph;

typedef struct Exec {
  Graph graph;
  int references;
} Exec;

/* Finds the stream behind a handle, also the default ones; NULL with a reason in *why. */
Stream* stream_of(void* handle, CUresult* why);
CUresult put(Stream* stream, Work work); /* queues it, or captures it */
void run_until(Stream* stream, Marker* marker); /* runs a stream's work, up to a marker or to the end */
void run_everything(void);
CUresult unsafe(void); /* what may not be called by a thread that is capturing */
void work_free(Work* work);
Work* work_copy(const Work* work);
void graph_empty(Graph* graph);
void marker_release(Marker* marker);
void memory_release(CUdeviceptr address);
double now_ms(void);

/* The functions by the name that cuGetProcAddress is asked for. */
void* function_named(const char* name, int version);

#endif
