/*
 * A library to preload into a process whose files must fail: it records what is done to the files
 * under one folder, and refuses, tears, delays or falsifies operations by a plan.
 *
 *   DISKS_FOLDER   only files below it are touched or recorded; absolute
 *   DISKS_LOG      operations are appended to this file, in the order in which they were done
 *   DISKS_PLAN     lines "OPERATION GLOB FIRST COUNT ACTION [NUMBER]"; read again when it changes
 *
 * OPERATION is create, write, truncate, sync, rename, unlink, folder (sync of a folder), open,
 * thread (the start of one; its path is "-"), or any (all that change a file). GLOB is matched against the path below the folder. The matching operations
 * FIRST .. FIRST+COUNT-1, from 1, counted for each line by itself, meet the ACTION:
 *
 *   fail E        do nothing, return the error number E
 *   kill          SIGKILL before the operation
 *   killafter     SIGKILL after it
 *   tear N        write the first N bytes, then SIGKILL
 *   short N       write N bytes and say so
 *   lie           do nothing, say that it was done
 *   misdirect N   write N bytes further on in the file, say that all is well
 *   stall N       wait N milliseconds, or until the plan is another, then do it
 *
 * Writes to a file named "marks" are recorded and never fail: a program writes there what it has
 * promised to others, so that promises stand in order among the operations.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum operation { CREATE = 1, WRITE, TRUNCATE, SYNC, RENAME, UNLINK, FOLDER, OPEN, THREAD };
enum action { NONE, FAIL, KILL, KILLAFTER, TEAR, SHORT, LIE, MISDIRECT, STALL };

static const char *const operation_names[] = {"any",    "create", "write",  "truncate", "sync",
                                              "rename", "unlink", "folder", "open", "thread"};
static const char *const action_names[] = {"none",  "fail", "kill",      "killafter", "tear",
                                           "short", "lie",  "misdirect", "stall"};

#define MAX_FILES 65536
#define MAX_RULES 32
#define STALL_SLICE_MS 20

struct rule {
  int operation;
  char glob[256];
  long first, count;
  int action;
  long number;
  long seen;
};

/* One record of the log; path, second path and data follow. Little-endian on all our machines. */
struct record {
  uint32_t magic;
  uint8_t operation;
  uint8_t failed;
  uint16_t path_bytes;
  uint32_t second_bytes;
  uint32_t data_bytes;
  uint64_t offset;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char folder[PATH_MAX];
static size_t folder_bytes;
static int log_fd = -1;
static const char *plan_path;
static struct timespec plan_time;
static off_t plan_size = -1;
static unsigned long plan_number;
static struct rule rules[MAX_RULES];
static int rule_count;
static char *paths[MAX_FILES];

#define REAL(name) ((__typeof__(&name))real_##name())
#define DEFINE_REAL(name)                                  \
  static void *real_##name(void) {                         \
    static void *found;                                    \
    if (found == NULL) found = dlsym(RTLD_NEXT, #name);    \
    return found;                                          \
  }
DEFINE_REAL(open)
DEFINE_REAL(openat)
DEFINE_REAL(close)
DEFINE_REAL(write)
DEFINE_REAL(pwrite)
DEFINE_REAL(fsync)
DEFINE_REAL(fdatasync)
DEFINE_REAL(ftruncate)
DEFINE_REAL(rename)
DEFINE_REAL(unlink)
DEFINE_REAL(unlinkat)
DEFINE_REAL(pthread_create)

__attribute__((constructor)) static void start(void) {
  const char *wanted = getenv("DISKS_FOLDER");
  const char *log = getenv("DISKS_LOG");
  if (wanted == NULL || realpath(wanted, folder) == NULL) return;
  folder_bytes = strlen(folder);
  plan_path = getenv("DISKS_PLAN");
  if (log != NULL) log_fd = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* Return the path below the folder, or NULL for what lies elsewhere. */
static const char *below(const char *path) {
  if (folder_bytes == 0 || path == NULL || strncmp(path, folder, folder_bytes) != 0) return NULL;
  if (path[folder_bytes] == '\0') return ".";
  return path[folder_bytes] == '/' ? path + folder_bytes + 1 : NULL;
}

static const char *path_of(int fd) {
  return fd >= 0 && fd < MAX_FILES ? paths[fd] : NULL;
}

static void note_path(int fd, const char *path) {
  if (fd < 0 || fd >= MAX_FILES) return;
  free(paths[fd]);
  paths[fd] = path == NULL ? NULL : strdup(path);
}

static int index_of(const char *word, const char *const *names, int count) {
  for (int i = 0; i < count; i++)
    if (strcmp(word, names[i]) == 0) return i;
  fprintf(stderr, "shim: plan has an unknown word %s\n", word);
  _exit(99);
}

static void read_plan(void) {
  struct stat info;
  if (plan_path == NULL) return;
  if (stat(plan_path, &info) != 0) {
    rule_count = 0;
    plan_size = -1;
    return;
  }
  if (info.st_size == plan_size && info.st_mtim.tv_sec == plan_time.tv_sec &&
      info.st_mtim.tv_nsec == plan_time.tv_nsec)
    return;
  plan_size = info.st_size;
  plan_time = info.st_mtim;
  plan_number++;
  rule_count = 0;
  FILE *file = fopen(plan_path, "r");
  if (file == NULL) return;
  char line[512], operation[32], action[32];
  while (rule_count < MAX_RULES && fgets(line, sizeof line, file) != NULL) {
    struct rule *rule = &rules[rule_count];
    memset(rule, 0, sizeof *rule);
    if (sscanf(line, "%31s %255s %ld %ld %31s %ld", operation, rule->glob, &rule->first,
               &rule->count, action, &rule->number) < 5)
      continue;
    rule->operation = index_of(operation, operation_names, 10);
    rule->action = index_of(action, action_names, 9);
    rule_count++;
  }
  fclose(file);
}

/* Return the rule that this operation meets, or NULL. */
static struct rule *met(int operation, const char *path) {
  struct rule *found = NULL;
  read_plan();
  for (int i = 0; i < rule_count; i++) {
    struct rule *rule = &rules[i];
    int is_kind = rule->operation == operation || (rule->operation == 0 && operation < OPEN);
    if (!is_kind || fnmatch(rule->glob, path, 0) != 0) continue;
    rule->seen++;
    if (found == NULL && rule->seen >= rule->first && rule->seen < rule->first + rule->count)
      found = rule;
  }
  return found;
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

static void keep(int operation, int failed, const char *path, const char *second, uint64_t offset,
                 const void *data, size_t bytes) {
  if (log_fd < 0) return;
  struct record head = {0x4b534944u,           (uint8_t)operation,
                        (uint8_t)(failed != 0), (uint16_t)strlen(path),
                        second == NULL ? 0 : (uint32_t)strlen(second), (uint32_t)bytes,
                        offset};
  struct iovec parts[4] = {{&head, sizeof head},
                           {(void *)path, head.path_bytes},
                           {(void *)second, head.second_bytes},
                           {(void *)data, bytes}};
  if (writev(log_fd, parts, 4) < 0) _exit(98);
}

/* What comes before an operation; return 1 when it is not to be done, with `result` to return. */
static int before(int operation, const char *path, struct rule **rule, ssize_t bytes,
                  ssize_t *result) {
  *rule = met(operation, path);
  if (*rule == NULL) return 0;
  switch ((*rule)->action) {
    case KILL:
      die();
      return 1;
    case FAIL:
      errno = (int)(*rule)->number;
      *result = -1;
      return 1;
    case LIE:
      *result = bytes;
      return 1;
    case STALL: {
      unsigned long number = plan_number;
      struct timespec slice = {0, STALL_SLICE_MS * 1000000L};
      for (long left = (*rule)->number; left > 0 && number == plan_number; left -= STALL_SLICE_MS) {
        pthread_mutex_unlock(&lock);
        nanosleep(&slice, NULL);
        pthread_mutex_lock(&lock);
        read_plan();
      }
      *rule = NULL;
      return 0;
    }
    default:
      return 0;
  }
}

static void after(struct rule *rule) {
  if (rule != NULL && (rule->action == KILLAFTER || rule->action == TEAR)) die();
}

/* An operation with a result of 0 or -1 on `path`; `call` does it. */
#define PERFORM(operation, path, second, offset, call)                    \
  do {                                                                    \
    struct rule *rule;                                                    \
    ssize_t result;                                                       \
    pthread_mutex_lock(&lock);                                            \
    if (before(operation, path, &rule, 0, &result)) {                     \
      int error = errno;                                                  \
      keep(operation, 1, path, second, offset, NULL, 0);                  \
      pthread_mutex_unlock(&lock);                                        \
      errno = error;                                                      \
      return (int)result;                                                 \
    }                                                                     \
    result = call;                                                        \
    int error = errno;                                                    \
    keep(operation, result < 0, path, second, offset, NULL, 0);           \
    after(rule);                                                          \
    pthread_mutex_unlock(&lock);                                          \
    errno = error;                                                        \
    return (int)result;                                                   \
  } while (0)

static int open_below(int at, const char *name, int flags, mode_t mode) {
  const char *path = below(name);
  int is_new = path != NULL && (flags & O_CREAT) != 0 && access(name, F_OK) != 0;
  ssize_t result = 0;
  struct rule *rule = NULL;
  if (path == NULL) {
    int plain = REAL(openat)(at, name, flags, mode);
    pthread_mutex_lock(&lock);
    note_path(plain, NULL);
    pthread_mutex_unlock(&lock);
    return plain;
  }
  pthread_mutex_lock(&lock);
  if (before(is_new ? CREATE : OPEN, path, &rule, 0, &result)) {
    int error = errno;
    if (is_new) keep(CREATE, 1, path, NULL, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return -1;
  }
  int fd = REAL(openat)(at, name, flags, mode);
  int error = errno;
  if (fd >= 0) {
    note_path(fd, path);
    if (is_new) {
      keep(CREATE, 0, path, NULL, 0, NULL, 0);
    } else if ((flags & O_TRUNC) != 0) {
      keep(TRUNCATE, 0, path, NULL, 0, NULL, 0);
    }
  }
  after(rule);
  pthread_mutex_unlock(&lock);
  errno = error;
  return fd;
}

#define OPEN_WITH(at)                                  \
  mode_t mode = 0;                                     \
  if ((flags & (O_CREAT | O_TMPFILE)) != 0) {          \
    va_list rest;                                      \
    va_start(rest, flags);                             \
    mode = va_arg(rest, mode_t);                       \
    va_end(rest);                                      \
  }                                                    \
  return open_below(at, name, flags, mode)

int open(const char *name, int flags, ...) { OPEN_WITH(AT_FDCWD); }
int open64(const char *name, int flags, ...) { OPEN_WITH(AT_FDCWD); }
int openat(int at, const char *name, int flags, ...) { OPEN_WITH(at); }
int openat64(int at, const char *name, int flags, ...) { OPEN_WITH(at); }

int close(int fd) {
  pthread_mutex_lock(&lock);
  note_path(fd, NULL);
  pthread_mutex_unlock(&lock);
  return REAL(close)(fd);
}

static int is_marks(const char *path) { return strcmp(path, "marks") == 0; }

static ssize_t write_below(int fd, const char *path, const void *data, size_t bytes, off_t offset,
                           int is_positioned) {
  struct rule *rule = NULL;
  ssize_t result;
  size_t part = bytes;
  off_t place = offset;
  if (is_marks(path)) {
    keep(WRITE, 0, path, NULL, 0, data, bytes);
    return (ssize_t)bytes;
  }
  if (before(WRITE, path, &rule, (ssize_t)bytes, &result)) {
    int error = errno;
    if (!is_positioned && result > 0) lseek(fd, offset + result, SEEK_SET);
    keep(WRITE, 1, path, NULL, (uint64_t)offset, data, bytes);
    errno = error;
    return result;
  }
  if (rule != NULL && (rule->action == TEAR || rule->action == SHORT) &&
      (size_t)rule->number < part)
    part = (size_t)rule->number;
  if (rule != NULL && rule->action == MISDIRECT) place += rule->number;
  result = REAL(pwrite)(fd, data, part, place);
  int error = errno;
  if (!is_positioned && result > 0) lseek(fd, offset + result, SEEK_SET);
  keep(WRITE, result < 0, path, NULL, (uint64_t)place, data, result < 0 ? 0 : (size_t)result);
  after(rule);
  errno = error;
  return result;
}

ssize_t write(int fd, const void *data, size_t bytes) {
  pthread_mutex_lock(&lock);
  const char *path = path_of(fd);
  if (path == NULL) {
    pthread_mutex_unlock(&lock);
    return REAL(write)(fd, data, bytes);
  }
  struct stat info;
  int is_append = (fcntl(fd, F_GETFL) & O_APPEND) != 0 && fstat(fd, &info) == 0;
  off_t offset = is_append ? info.st_size : lseek(fd, 0, SEEK_CUR);
  ssize_t result = write_below(fd, path, data, bytes, offset, 0);
  pthread_mutex_unlock(&lock);
  return result;
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) {
  pthread_mutex_lock(&lock);
  const char *path = path_of(fd);
  if (path == NULL) {
    pthread_mutex_unlock(&lock);
    return REAL(pwrite)(fd, data, bytes, offset);
  }
  ssize_t result = write_below(fd, path, data, bytes, offset, 1);
  pthread_mutex_unlock(&lock);
  return result;
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset) {
  return pwrite(fd, data, bytes, (off_t)offset);
}

static int sync_below(int fd, int (*real)(int)) {
  char path[PATH_MAX];
  struct stat info;
  pthread_mutex_lock(&lock);
  const char *known = path_of(fd);
  if (known != NULL) strncpy(path, known, sizeof path - 1), path[sizeof path - 1] = '\0';
  pthread_mutex_unlock(&lock);
  if (known == NULL) return real(fd);
  int operation = fstat(fd, &info) == 0 && S_ISDIR(info.st_mode) ? FOLDER : SYNC;
  PERFORM(operation, path, NULL, 0, real(fd));
}

int fsync(int fd) { return sync_below(fd, REAL(fsync)); }
int fdatasync(int fd) { return sync_below(fd, REAL(fdatasync)); }

int ftruncate(int fd, off_t size) {
  char path[PATH_MAX];
  pthread_mutex_lock(&lock);
  const char *known = path_of(fd);
  if (known != NULL) strncpy(path, known, sizeof path - 1), path[sizeof path - 1] = '\0';
  pthread_mutex_unlock(&lock);
  if (known == NULL) return REAL(ftruncate)(fd, size);
  PERFORM(TRUNCATE, path, NULL, (uint64_t)size, REAL(ftruncate)(fd, size));
}

int ftruncate64(int fd, off64_t size) { return ftruncate(fd, (off_t)size); }

/* Rename, and give the open files their new name; called under the lock. */
static int rename_noted(const char *from, const char *to) {
  const char *path = below(from), *second = below(to);
  int result = REAL(rename)(from, to);
  for (int fd = 0; result == 0 && fd < MAX_FILES; fd++)
    if (paths[fd] != NULL && strcmp(paths[fd], path) == 0) note_path(fd, second);
  return result;
}

int rename(const char *from, const char *to) {
  const char *path = below(from), *second = below(to);
  if (path == NULL || second == NULL) return REAL(rename)(from, to);
  PERFORM(RENAME, path, second, 0, rename_noted(from, to));
}

int unlink(const char *name) {
  const char *path = below(name);
  if (path == NULL) return REAL(unlink)(name);
  PERFORM(UNLINK, path, NULL, 0, REAL(unlink)(name));
}

int unlinkat(int at, const char *name, int flags) {
  const char *path = below(name);
  if (path == NULL || flags != 0) return REAL(unlinkat)(at, name, flags);
  PERFORM(UNLINK, path, NULL, 0, REAL(unlinkat)(at, name, flags));
}

int remove(const char *name) {
  struct stat info;
  if (lstat(name, &info) == 0 && S_ISDIR(info.st_mode)) return rmdir(name);
  return unlink(name);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*work)(void *),
                   void *argument) {
  struct rule *rule = NULL;
  ssize_t result = 0;
  pthread_mutex_lock(&lock);
  int is_refused = folder_bytes != 0 && before(THREAD, "-", &rule, 0, &result);
  pthread_mutex_unlock(&lock);
  return is_refused ? EAGAIN : REAL(pthread_create)(thread, attributes, work, argument);
}
