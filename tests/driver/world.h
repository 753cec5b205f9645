/* What the driver library shows: boards, instances, processes, reports and misbehaviour, read from a plain text file. */
#ifndef GPULEDGER_WORLD_H
#define GPULEDGER_WORLD_H

#define NVML_NO_UNVERSIONED_FUNC_DEFS
#include <nvml.h>
#include <stddef.h>

#ifndef DRIVER_VERSION
#define DRIVER_VERSION "580.105.08"
#endif

enum { MOST_BOARDS = 16, MOST_INSTANCES = 8, MOST_PROCESSES = 256, MOST_XIDS = 64, MOST_RULES = 32, WORD = 96 };
#define NO_INSTANCE 0xFFFFFFFFu

typedef unsigned long long u64;

typedef struct {
    unsigned pid, type; /* type: C computes, G draws, M is a client of MPS */
    u64 memory;         /* bytes; all ones where the driver may not tell */
    unsigned busy;      /* percent */
    unsigned gpu_instance, compute_instance;
} process_t;

/* A device handle points at one of these, which stay where they are: a whole board or an instance of it. */
typedef struct {
    unsigned board;
    int part; /* -1: the board itself, else the index of its instance */
} handle_t;

typedef struct {
    unsigned present, gpu_instance, compute_instance, gpu_slices, compute_slices, memory_mib;
    char uuid[WORD], profile[WORD];
} instance_t;

typedef struct {
    unsigned index, minor, mig, lost, busy, jitter, temperature, processes_count;
    u64 memory_mib, reserved_mib, power_mw, energy_mj, throttle, corrected, uncorrected;
    unsigned remapped_corrected, remapped_uncorrected, remap_pending, remap_failed, recovery_action;
    char name[WORD], uuid[WORD], bus_id[WORD], serial[WORD];
    instance_t instances[MOST_INSTANCES];
    process_t processes[MOST_PROCESSES];
} board_t;

typedef struct {
    unsigned board, code, gpu_instance;
    u64 event; /* of nvmlEventType */
} report_t;

typedef enum { HANG, CRASH, SLOW, FAIL } rule_kind_t;

typedef struct {
    rule_kind_t kind;
    char function[WORD]; /* or "*" */
    u64 value;           /* which call crashes, how many microseconds, which code */
    int board;           /* -1: all */
} rule_t;

typedef struct {
    char kernel[WORD]; /* version of the kernel's driver; empty: the library's own */
    unsigned boards_count, reports_count, rules_count;
    u64 energy_since_us, period_us, buffered; /* periods of utilisation samples */
    board_t boards[MOST_BOARDS];
    report_t reports[MOST_XIDS];
    rule_t rules[MOST_RULES];
} world_t;

/* Shared with whoever controls the driver while it runs: the file $NVML_WORLD.page, mapped. */
typedef struct {
    u64 generation; /* the world's file is read again when it changes */
    u64 clock_us;   /* what time it is; 0: the machine's clock */
    u64 calls;      /* how many calls there were, of all processes */
    u64 hanging;    /* how many calls hang right now */
    u64 openings;   /* how often NVML was initialised */
    u64 hits[MOST_RULES];
} page_t;

const world_t *world(void); /* as the file has it now */
page_t *page(void);
u64 now_us(void);
int read_world(const char *path, world_t *into); /* 0 where the file is right, else the number of its wrong line */

/* What every call does first. `handle` may be NULL: a call that is about no device. */
nvmlReturn_t enter(const char *function, const void *handle);
int is_open(void);
nvmlReturn_t put_text(char *out, unsigned room, const char *text);

nvmlDevice_t device_of(unsigned board, int part);
const handle_t *handle_of(const void *device);         /* NULL where it is no handle */
const board_t *board_of(nvmlDevice_t device);          /* of a handle that `enter` took */
const instance_t *instance_of(nvmlDevice_t device);    /* NULL where it is a whole board */

#define ENTER(device)                                   \
    do {                                                \
        nvmlReturn_t code_ = enter(__func__, (device)); \
        if (code_ != NVML_SUCCESS) return code_;        \
    } while (0)

#define ENTER_DEVICE(device)                                \
    if ((device) == NULL) return NVML_ERROR_INVALID_ARGUMENT; \
    ENTER(device);                                          \
    const board_t *board = board_of(device)

/* For what only a whole board has. */
#define ENTER_BOARD(device) \
    ENTER_DEVICE(device);   \
    if (instance_of(device) != NULL) return NVML_ERROR_NOT_SUPPORTED

#endif
