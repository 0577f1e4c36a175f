/* The log, errors on demand, settings and handles. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "standin.h"

Settings settings;
pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static char* text;
static size_t used, capacity;
static bool logging = true;

static struct {
  char name[64];
  int nth, code;
  bool always;
} faults[16];

static int number(const char* name, int otherwise) {
  const char* value = getenv(name);
  return value ? atoi(value) : otherwise;
}

__attribute__((constructor)) static void read_settings(void) {
  settings.version = number("STANDIN_VERSION", 13000);
  settings.devices = number("STANDIN_DEVICES", 1);
  settings.major = number("STANDIN_MAJOR", 8);
  settings.minor = number("STANDIN_MINOR", 9);
  settings.integrated = number("STANDIN_INTEGRATED", 0);
  settings.pools = number("STANDIN_POOLS", 1);
  logging = number("STANDIN_LOG", 1);
}

static void append(const char* prefix, const char* format, va_list arguments) {
  char line[512];
  if (!logging) return;
  int length = snprintf(line, sizeof line, "%s", prefix);
  length += vsnprintf(line + length, sizeof line - length, format, arguments);
  if (length > (int)sizeof line - 2) length = sizeof line - 2;
  line[length++] = '\n';
  if (used + length + 1 > capacity) text = realloc(text, capacity = 2 * (capacity + length + 1));
  memcpy(text + used, line, length);
  text[used += length] = 0;
}

CUresult enter(const char* name, const char* format, ...) {
  char prefix[96];
  pthread_mutex_lock(&lock);
  if (logging) {
    va_list arguments;
    va_start(arguments, format);
    snprintf(prefix, sizeof prefix, "%s ", name);
    append(prefix, format, arguments);
    va_end(arguments);
  }
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
    if (faults[i].nth > 0 && !strcmp(faults[i].name, name) && --faults[i].nth == 0) {
      if (faults[i].always) faults[i].nth = 1;
      return faults[i].code;
    }
  return OK;
}

CUresult leave(CUresult result) {
  pthread_mutex_unlock(&lock);
  return result;
}

void note(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  append("run ", format, arguments);
  va_end(arguments);
}

double now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

/* For tests. */

EXPORT void standin_fail(const char* name, int nth, int code, int always) {
  pthread_mutex_lock(&lock);
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
    if (faults[i].nth == 0) {
      snprintf(faults[i].name, sizeof faults[i].name, "%s", name);
      faults[i].nth = nth, faults[i].code = code, faults[i].always = always;
      break;
    }
  pthread_mutex_unlock(&lock);
}

EXPORT void standin_mend(void) { memset(faults, 0, sizeof faults); }

EXPORT const char* standin_log(void) { return text ? text : ""; }

EXPORT void standin_clear(void) {
  pthread_mutex_lock(&lock);
  used = 0;
  if (text) *text = 0;
  pthread_mutex_unlock(&lock);
}

EXPORT void standin_logging(int on) { logging = on; }

EXPORT void standin_integrated(int on) { settings.integrated = on; }

/* Handles, in a hash table of their addresses. */

typedef struct Header {
  struct Header* next;
  Kind kind;
} __attribute__((aligned(16))) Header;

static Header* table[1024];

static Header** place(const void* handle) {
  Header** at = &table[((uintptr_t)handle >> 4) % 1024];
  while (*at && (const void*)(*at + 1) != handle) at = &(*at)->next;
  return at;
}

void* handle_new(Kind kind, size_t size) {
  Header* header = calloc(1, sizeof *header + size);
  Header** at = &table[((uintptr_t)(header + 1) >> 4) % 1024];
  header->kind = kind, header->next = *at, *at = header;
  return header + 1;
}

bool handle_valid(const void* handle, Kind kind) {
  Header* found = handle ? *place(handle) : NULL;
  return found && found->kind == kind;
}

void handle_free(void* handle) {
  Header** at = place(handle);
  Header* header = *at;
  *at = header->next;
  free(header);
}
