/* What every call does first: looks whether the world changed, counts, and misbehaves where the world says so. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "world.h"

static page_t private_page;
static page_t *shared = &private_page;
static world_t *current; /* replaced as a whole, and never freed: another thread may be reading it */
static u64 generation;
static pthread_mutex_t reading = PTHREAD_MUTEX_INITIALIZER;

static void read_again(void) {
    const char *path = getenv("NVML_WORLD");
    world_t *fresh = malloc(sizeof *fresh);
    u64 seen = __atomic_load_n(&shared->generation, __ATOMIC_ACQUIRE);
    int wrong = fresh ? read_world(path, fresh) : -1;
    if (wrong) {
        fprintf(stderr, "driver library: %s is wrong at line %d\n", path, wrong);
        abort();
    }
    generation = seen;
    __atomic_store_n(&current, fresh, __ATOMIC_RELEASE);
}

__attribute__((constructor)) static void load(void) {
    const char *path = getenv("NVML_WORLD");
    char name[4096];
    if (path && *path) {
        snprintf(name, sizeof name, "%s.page", path);
        int file = open(name, O_RDWR | O_CLOEXEC);
        if (file >= 0) {
            void *mapped = mmap(NULL, sizeof(page_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
            if (mapped != MAP_FAILED) shared = mapped;
            close(file);
        }
    }
    read_again();
}

page_t *page(void) { return shared; }

const world_t *world(void) {
    if (__atomic_load_n(&shared->generation, __ATOMIC_ACQUIRE) != generation) {
        pthread_mutex_lock(&reading);
        if (__atomic_load_n(&shared->generation, __ATOMIC_ACQUIRE) != generation) read_again();
        pthread_mutex_unlock(&reading);
    }
    return __atomic_load_n(&current, __ATOMIC_ACQUIRE);
}

u64 now_us(void) {
    u64 given = __atomic_load_n(&shared->clock_us, __ATOMIC_ACQUIRE);
    struct timespec now;
    if (given) return given;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000000ull + now.tv_nsec / 1000;
}

static int applies(const rule_t *rule, const char *function, const handle_t *handle) {
    if (rule->board >= 0 && (handle == NULL || handle->board != (unsigned)rule->board)) return 0;
    return !strcmp(rule->function, "*") || !strcmp(rule->function, function);
}

static int hangs(const char *function, const handle_t *handle) {
    const world_t *now = world();
    for (unsigned i = 0; i < now->rules_count; i++)
        if (now->rules[i].kind == HANG && applies(&now->rules[i], function, handle)) return 1;
    return 0;
}

static void hang(const char *function, const handle_t *handle) {
    __atomic_fetch_add(&shared->hanging, 1, __ATOMIC_ACQ_REL);
    while (hangs(function, handle)) nanosleep(&(struct timespec){0, 1000000}, NULL);
    __atomic_fetch_sub(&shared->hanging, 1, __ATOMIC_ACQ_REL);
}

static void die(void) {
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
}

static nvmlReturn_t misbehave(const world_t *now, const char *function, const handle_t *handle) {
    for (unsigned i = 0; i < now->rules_count; i++) {
        const rule_t *rule = &now->rules[i];
        if (!applies(rule, function, handle)) continue;
        u64 hit = __atomic_add_fetch(&shared->hits[i], 1, __ATOMIC_ACQ_REL);
        if (rule->kind == HANG) hang(function, handle);
        if (rule->kind == CRASH && hit == rule->value) die();
        if (rule->kind == SLOW) usleep(rule->value);
        if (rule->kind == FAIL) return (nvmlReturn_t)rule->value;
    }
    return NVML_SUCCESS;
}

nvmlReturn_t enter(const char *function, const void *handle) {
    const world_t *now = world();
    const handle_t *device = handle ? handle_of(handle) : NULL;
    __atomic_fetch_add(&shared->calls, 1, __ATOMIC_RELAXED);
    if (now->rules_count) {
        nvmlReturn_t code = misbehave(now, function, device);
        if (code != NVML_SUCCESS) return code;
    }
    if (!is_open()) return NVML_ERROR_UNINITIALIZED;
    if (now->kernel[0] && strcmp(now->kernel, DRIVER_VERSION)) return NVML_ERROR_LIB_RM_VERSION_MISMATCH;
    if (!handle) return NVML_SUCCESS;
    if (!device) return NVML_ERROR_INVALID_ARGUMENT;
    if (now->boards[device->board].lost) return NVML_ERROR_GPU_IS_LOST;
    if (device->part >= 0 && !now->boards[device->board].instances[device->part].present)
        return NVML_ERROR_INVALID_ARGUMENT; /* the board was cut anew */
    return NVML_SUCCESS;
}

nvmlReturn_t put_text(char *out, unsigned room, const char *text) {
    if (!out) return NVML_ERROR_INVALID_ARGUMENT;
    if (strlen(text) + 1 > room) return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(out, text);
    return NVML_SUCCESS;
}
