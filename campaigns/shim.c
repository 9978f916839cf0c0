/* Fails the n-th system call of a kind, when told to by `lash_arm`.
   Preloaded into the process under test; see campaigns/shim.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/types.h>
#include <unistd.h>

enum { WRITES = 1, SYNCS = 2 };

static int kind, target, count, failure;

void lash_arm(int which, int nth, int error) {
  kind = which; target = nth; failure = error; count = 0;
}

int lash_disarm(void) { kind = 0; return count; }

static int fails(int which) {
  if (kind != which) return 0;
  count++;
  if (target == 0 || count != target) return 0;
  errno = failure;
  return 1;
}

#define REAL(name, type) static type real; \
  if (!real) real = (type)dlsym(RTLD_NEXT, name)

typedef ssize_t (*pwriter)(int, const void *, size_t, off_t);
typedef int (*syncer)(int);

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
  REAL("pwrite", pwriter);
  return fails(WRITES) ? -1 : real(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) {
  REAL("pwrite64", pwriter);
  return fails(WRITES) ? -1 : real(fd, data, size, at);
}

int fsync(int fd) {
  REAL("fsync", syncer);
  return fails(SYNCS) ? -1 : real(fd);
}

int fdatasync(int fd) {
  REAL("fdatasync", syncer);
  return fails(SYNCS) ? -1 : real(fd);
}
