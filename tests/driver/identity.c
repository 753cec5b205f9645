/* What never changes about a board or an instance: names, addresses, sizes, and how a board is cut. */
#include <stdio.h>
#include <string.h>

#include "world.h"

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned length) {
    ENTER_DEVICE(device);
    const instance_t *instance = instance_of(device);
    char text[2 * WORD + 8];
    if (!instance) return put_text(name, length, board->name);
    snprintf(text, sizeof text, "%s MIG %s", board->name, instance->profile);
    return put_text(name, length, text);
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned length) {
    ENTER_DEVICE(device);
    const instance_t *instance = instance_of(device);
    return put_text(uuid, length, instance ? instance->uuid : board->uuid);
}

nvmlReturn_t nvmlDeviceGetSerial(nvmlDevice_t device, char *serial, unsigned length) {
    ENTER_BOARD(device);
    return put_text(serial, length, board->serial);
}

nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned *index) {
    ENTER_DEVICE(device);
    int part = handle_of(device)->part;
    *index = part < 0 ? board->index : (unsigned)part;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t device, unsigned *minor) {
    ENTER_BOARD(device);
    *minor = board->minor;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *pci) {
    ENTER_DEVICE(device);
    memset(pci, 0, sizeof *pci);
    sscanf(board->bus_id, "%x:%x:%x", &pci->domain, &pci->bus, &pci->device);
    snprintf(pci->busId, sizeof pci->busId, "%.31s", board->bus_id);
    snprintf(pci->busIdLegacy, sizeof pci->busIdLegacy, "%.15s", board->bus_id + 4);
    pci->pciDeviceId = 0x233010de;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetArchitecture(nvmlDevice_t device, nvmlDeviceArchitecture_t *architecture) {
    ENTER_BOARD(device);
    (void)board;
    *architecture = NVML_DEVICE_ARCH_HOPPER;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int *major, int *minor) {
    ENTER_DEVICE(device);
    (void)board;
    *major = 9;
    *minor = 0;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPersistenceMode(nvmlDevice_t device, nvmlEnableState_t *mode) {
    ENTER_BOARD(device);
    (void)board;
    *mode = NVML_FEATURE_ENABLED;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeMode(nvmlDevice_t device, nvmlComputeMode_t *mode) {
    ENTER_DEVICE(device);
    (void)board;
    *mode = NVML_COMPUTEMODE_DEFAULT;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetDisplayActive(nvmlDevice_t device, nvmlEnableState_t *active) {
    ENTER_BOARD(device);
    (void)board;
    *active = NVML_FEATURE_DISABLED;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPowerManagementLimit(nvmlDevice_t device, unsigned *limit) {
    ENTER_BOARD(device);
    (void)board;
    *limit = 700000;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t device, unsigned *is_mig) {
    ENTER_DEVICE(device);
    (void)board;
    *is_mig = instance_of(device) != NULL;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned *current, unsigned *pending) {
    ENTER_DEVICE(device);
    if (instance_of(device)) return NVML_ERROR_INVALID_ARGUMENT;
    *current = *pending = board->mig;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned *count) {
    ENTER_BOARD(device);
    (void)board;
    *count = 7;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned index, nvmlDevice_t *found) {
    ENTER_BOARD(device);
    if (index >= 7) return NVML_ERROR_INVALID_ARGUMENT;
    if (!board->mig || !board->instances[index].present) return NVML_ERROR_NOT_FOUND; /* indices have holes */
    *found = device_of(board->index, (int)index);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvmlDevice_t mig, nvmlDevice_t *device) {
    ENTER_DEVICE(mig);
    if (!instance_of(mig)) return NVML_ERROR_INVALID_ARGUMENT;
    *device = device_of(board->index, -1);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetGpuInstanceId(nvmlDevice_t device, unsigned *id) {
    ENTER_DEVICE(device);
    (void)board;
    if (!instance_of(device)) return NVML_ERROR_NOT_SUPPORTED;
    *id = instance_of(device)->gpu_instance;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeInstanceId(nvmlDevice_t device, unsigned *id) {
    ENTER_DEVICE(device);
    (void)board;
    if (!instance_of(device)) return NVML_ERROR_NOT_SUPPORTED;
    *id = instance_of(device)->compute_instance;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetAttributes_v2(nvmlDevice_t device, nvmlDeviceAttributes_t *attributes) {
    ENTER_DEVICE(device);
    (void)board;
    const instance_t *instance = instance_of(device);
    if (!instance) return NVML_ERROR_NOT_SUPPORTED;
    *attributes = (nvmlDeviceAttributes_t){.multiprocessorCount = 16 * instance->compute_slices,
                                           .sharedCopyEngineCount = instance->gpu_slices,
                                           .gpuInstanceSliceCount = instance->gpu_slices,
                                           .computeInstanceSliceCount = instance->compute_slices,
                                           .memorySizeMB = instance->memory_mib};
    return NVML_SUCCESS;
}
