/* What changes: memory, energy, power, temperature, clocks, errors. Energy grows with the clock that the page gives. */
#include <string.h>

#include "world.h"

static u64 memory_used(const board_t *board, const instance_t *instance) {
    u64 used = 0;
    for (unsigned i = 0; i < board->processes_count; i++) {
        const process_t *process = &board->processes[i];
        if (instance && process->gpu_instance != instance->gpu_instance) continue;
        if (process->memory != ~0ull) used += process->memory;
    }
    return used;
}

static u64 memory_total(const board_t *board, const instance_t *instance) {
    return (instance ? instance->memory_mib : board->memory_mib) << 20;
}

static u64 memory_reserved(const board_t *board, const instance_t *instance) {
    return instance ? 0 : board->reserved_mib << 20;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory) {
    ENTER_DEVICE(device);
    const instance_t *instance = instance_of(device);
    memory->total = memory_total(board, instance);
    memory->used = memory_used(board, instance) + memory_reserved(board, instance);
    memory->free = memory->total - memory->used;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory) {
    ENTER_DEVICE(device);
    if (memory->version != nvmlMemory_v2) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    const instance_t *instance = instance_of(device);
    memory->total = memory_total(board, instance);
    memory->reserved = memory_reserved(board, instance);
    memory->used = memory_used(board, instance);
    memory->free = memory->total - memory->reserved - memory->used;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetBAR1MemoryInfo(nvmlDevice_t device, nvmlBAR1Memory_t *memory) {
    ENTER_DEVICE(device);
    (void)board;
    *memory = (nvmlBAR1Memory_t){.bar1Total = 128ull << 30, .bar1Free = 127ull << 30, .bar1Used = 1ull << 30};
    return NVML_SUCCESS;
}

static u64 energy_mj(const board_t *board) {
    u64 at = now_us(), since = world()->energy_since_us;
    return board->energy_mj + (at > since ? (u64)((__uint128_t)board->power_mw * (at - since) / 1000000) : 0);
}

nvmlReturn_t nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t device, u64 *energy) {
    ENTER_BOARD(device);
    *energy = energy_mj(board);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned *power) {
    ENTER_BOARD(device);
    *power = board->power_mw;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, nvmlTemperatureSensors_t sensor, unsigned *value) {
    ENTER_BOARD(device);
    if (sensor != NVML_TEMPERATURE_GPU) return NVML_ERROR_INVALID_ARGUMENT;
    *value = board->temperature;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTemperatureV(nvmlDevice_t device, nvmlTemperature_t *temperature) {
    ENTER_BOARD(device);
    if (temperature->version != nvmlTemperature_v1) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (temperature->sensorType != NVML_TEMPERATURE_GPU) return NVML_ERROR_INVALID_ARGUMENT;
    temperature->temperature = (int)board->temperature;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetFanSpeed(nvmlDevice_t device, unsigned *speed) {
    ENTER_BOARD(device);
    (void)board;
    (void)speed;
    return NVML_ERROR_NOT_SUPPORTED; /* cooled by the chassis */
}

nvmlReturn_t nvmlDeviceGetPerformanceState(nvmlDevice_t device, nvmlPstates_t *state) {
    ENTER_BOARD(device);
    (void)board;
    *state = NVML_PSTATE_0;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, nvmlClockType_t type, unsigned *clock) {
    ENTER_BOARD(device);
    (void)board;
    *clock = type == NVML_CLOCK_MEM ? 2619 : 1755;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t device, nvmlClockType_t type, unsigned *clock) {
    ENTER_BOARD(device);
    (void)board;
    *clock = type == NVML_CLOCK_MEM ? 2619 : 1980;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPcieThroughput(nvmlDevice_t device, nvmlPcieUtilCounter_t counter, unsigned *value) {
    ENTER_BOARD(device);
    (void)board;
    *value = counter == NVML_PCIE_UTIL_TX_BYTES ? 20480 : 40960;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCurrentClocksEventReasons(nvmlDevice_t device, u64 *reasons) {
    ENTER_BOARD(device);
    *reasons = board->throttle;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t device, u64 *reasons) {
    ENTER_BOARD(device);
    *reasons = board->throttle;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t device, nvmlMemoryErrorType_t type, nvmlEccCounterType_t counter,
                                         u64 *errors) {
    ENTER_BOARD(device);
    (void)counter;
    *errors = type == NVML_MEMORY_ERROR_TYPE_CORRECTED ? board->corrected : board->uncorrected;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetRemappedRows(nvmlDevice_t device, unsigned *corrected, unsigned *uncorrected,
                                       unsigned *pending, unsigned *failed) {
    ENTER_BOARD(device);
    if (board->mig) return NVML_ERROR_NOT_SUPPORTED;
    *corrected = board->remapped_corrected;
    *uncorrected = board->remapped_uncorrected;
    *pending = board->remap_pending;
    *failed = board->remap_failed;
    return NVML_SUCCESS;
}

static nvmlValueType_t field(const board_t *board, unsigned id, nvmlValue_t *value) {
    switch (id) {
    case NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION: value->ullVal = energy_mj(board); return NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
    case NVML_FI_DEV_POWER_AVERAGE:
    case NVML_FI_DEV_POWER_INSTANT: value->uiVal = board->power_mw; return NVML_VALUE_TYPE_UNSIGNED_INT;
    case NVML_FI_DEV_MEMORY_TEMP: value->uiVal = board->temperature + 8; return NVML_VALUE_TYPE_UNSIGNED_INT;
    case NVML_FI_DEV_PCIE_REPLAY_COUNTER: value->uiVal = 0; return NVML_VALUE_TYPE_UNSIGNED_INT;
    case NVML_FI_DEV_REMAPPED_COR: value->uiVal = board->remapped_corrected; return NVML_VALUE_TYPE_UNSIGNED_INT;
    case NVML_FI_DEV_REMAPPED_UNC: value->uiVal = board->remapped_uncorrected; return NVML_VALUE_TYPE_UNSIGNED_INT;
    case NVML_FI_DEV_REMAPPED_PENDING: value->uiVal = board->remap_pending; return NVML_VALUE_TYPE_UNSIGNED_INT;
    case NVML_FI_DEV_REMAPPED_FAILURE: value->uiVal = board->remap_failed; return NVML_VALUE_TYPE_UNSIGNED_INT;
    case NVML_FI_DEV_GET_GPU_RECOVERY_ACTION: value->uiVal = board->recovery_action; return NVML_VALUE_TYPE_UNSIGNED_INT;
    default: return NVML_VALUE_TYPE_COUNT;
    }
}

nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t device, int count, nvmlFieldValue_t *values) {
    ENTER_DEVICE(device);
    if (count < 1 || !values) return NVML_ERROR_INVALID_ARGUMENT;
    for (int i = 0; i < count; i++) {
        nvmlFieldValue_t *entry = &values[i];
        nvmlValueType_t type = instance_of(device) ? NVML_VALUE_TYPE_COUNT : field(board, entry->fieldId, &entry->value);
        entry->timestamp = (long long)now_us();
        entry->latencyUsec = 0;
        entry->nvmlReturn = type == NVML_VALUE_TYPE_COUNT ? NVML_ERROR_NOT_SUPPORTED : NVML_SUCCESS;
        entry->valueType = type == NVML_VALUE_TYPE_COUNT ? NVML_VALUE_TYPE_UNSIGNED_INT : type;
    }
    return NVML_SUCCESS;
}
