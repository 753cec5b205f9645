/* Processes and how much they worked: lists with the size probe, and samples of utilisation newer than a time stamp. */
#include "world.h"

static int listed(const process_t *process, char type, const instance_t *instance) {
    if (process->type != (unsigned)type) return 0;
    return !instance || (process->gpu_instance == instance->gpu_instance &&
                         process->compute_instance == instance->compute_instance);
}

/* A caller whose buffer is too small (or missing) is told how much room is needed, and asks again. */
static nvmlReturn_t list(nvmlDevice_t device, char type, unsigned *count, nvmlProcessInfo_t *out) {
    const board_t *board = board_of(device);
    const instance_t *instance = instance_of(device);
    unsigned room = *count, needed = 0;
    for (unsigned i = 0; i < board->processes_count; i++) needed += listed(&board->processes[i], type, instance);
    *count = needed;
    if (needed > room || (needed && !out)) return NVML_ERROR_INSUFFICIENT_SIZE;
    for (unsigned i = 0, at = 0; i < board->processes_count; i++) {
        const process_t *process = &board->processes[i];
        if (!listed(process, type, instance)) continue;
        out[at++] = (nvmlProcessInfo_t){process->pid, process->memory, process->gpu_instance, process->compute_instance};
    }
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned *count, nvmlProcessInfo_t *infos) {
    ENTER_DEVICE(device);
    (void)board;
    return list(device, 'C', count, infos);
}

nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t device, unsigned *count, nvmlProcessInfo_t *infos) {
    ENTER_DEVICE(device);
    (void)board;
    return list(device, 'G', count, infos);
}

nvmlReturn_t nvmlDeviceGetMPSComputeRunningProcesses_v3(nvmlDevice_t device, unsigned *count, nvmlProcessInfo_t *infos) {
    ENTER_DEVICE(device);
    (void)board;
    return list(device, 'M', count, infos);
}

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *utilization) {
    ENTER_BOARD(device);
    if (board->mig) return NVML_ERROR_NOT_SUPPORTED;
    utilization->gpu = board->busy;
    utilization->memory = board->busy / 2;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetEncoderUtilization(nvmlDevice_t device, unsigned *utilization, unsigned *period_us) {
    ENTER_BOARD(device);
    (void)board;
    *utilization = 0;
    *period_us = 167000;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetDecoderUtilization(nvmlDevice_t device, unsigned *utilization, unsigned *period_us) {
    ENTER_BOARD(device);
    (void)board;
    *utilization = 0;
    *period_us = 167000;
    return NVML_SUCCESS;
}

/* With `jitter` each period differs, the same way whoever asks: a sample lost or read twice changes a mean. */
static unsigned worked(const board_t *board, const process_t *process, u64 period) {
    unsigned width = 2 * board->jitter + 1;
    unsigned shift = (unsigned)((period * 7 + process->pid) % width);
    unsigned percent = process->busy + shift;
    if (process->busy == 0 || percent <= board->jitter) return 0;
    percent -= board->jitter;
    return percent > 100 ? 100 : percent;
}

typedef void (*put_t)(void *out, unsigned at, const process_t *process, u64 at_us, unsigned percent);

/* Writes up to `room` samples and returns how many there are. */
static unsigned samples(const board_t *board, u64 last_seen_us, unsigned room, void *out, put_t put) {
    const world_t *now = world();
    u64 last = now_us() / now->period_us, first = last_seen_us / now->period_us + 1;
    unsigned found = 0;
    if (last >= now->buffered && first <= last - now->buffered) first = last - now->buffered + 1;
    for (u64 period = first; period <= last; period++)
        for (unsigned i = 0; i < board->processes_count; i++) {
            unsigned percent = worked(board, &board->processes[i], period);
            if (!percent) continue;
            if (found < room && out) put(out, found, &board->processes[i], period * now->period_us, percent);
            found++;
        }
    return found;
}

static void put_sample(void *out, unsigned at, const process_t *process, u64 at_us, unsigned percent) {
    ((nvmlProcessUtilizationSample_t *)out)[at] =
        (nvmlProcessUtilizationSample_t){.pid = process->pid, .timeStamp = at_us, .smUtil = percent};
}

nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t device, nvmlProcessUtilizationSample_t *utilization,
                                             unsigned *count, u64 last_seen_us) {
    ENTER_BOARD(device);
    if (board->mig) return NVML_ERROR_NOT_SUPPORTED;
    unsigned room = *count, needed = samples(board, last_seen_us, room, utilization, put_sample);
    if (!needed) return NVML_ERROR_NOT_FOUND; /* nobody worked */
    *count = needed;
    return utilization && needed <= room ? NVML_SUCCESS : NVML_ERROR_INSUFFICIENT_SIZE;
}

static void put_info(void *out, unsigned at, const process_t *process, u64 at_us, unsigned percent) {
    ((nvmlProcessUtilizationInfo_v1_t *)out)[at] =
        (nvmlProcessUtilizationInfo_v1_t){.pid = process->pid, .timeStamp = at_us, .smUtil = percent};
}

nvmlReturn_t nvmlDeviceGetProcessesUtilizationInfo(nvmlDevice_t device, nvmlProcessesUtilizationInfo_t *info) {
    ENTER_BOARD(device);
    if (info->version != nvmlProcessesUtilizationInfo_v1) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (board->mig) return NVML_ERROR_NOT_SUPPORTED;
    unsigned room = info->processSamplesCount;
    unsigned needed = samples(board, info->lastSeenTimeStamp, room, info->procUtilArray, put_info);
    if (!needed) return NVML_ERROR_NOT_FOUND;
    info->processSamplesCount = needed;
    return info->procUtilArray && needed <= room ? NVML_SUCCESS : NVML_ERROR_INSUFFICIENT_SIZE;
}

nvmlReturn_t nvmlDeviceGetAccountingMode(nvmlDevice_t device, nvmlEnableState_t *mode) {
    ENTER_BOARD(device);
    (void)board;
    *mode = NVML_FEATURE_DISABLED;
    return NVML_SUCCESS;
}
