"""``python cudnn_plans.py``: cuDNN itself makes the plans of all graphs in test_cuda_cudnn.py, for an H100 that is not
here. No kernel runs: the driver may be a stub that says yes to everything, see the test that calls this."""

import json

import cudnn as package
import test_cuda_cudnn
from minigrad.kernels.cuda import cudnn, matmul

H100 = {  # what cuDNN asks of a device
    "deviceVer": 900, "driverVer": 12090, "deviceName": "NVIDIA H100 80GB HBM3", "cudaDeviceId": 0, "pciDeviceId": 0,
    "multiProcessorCount": 132, "smCountOrigin": 0, "totalGlobalMem": 85017624576, "l2CacheSize": 52428800,
    "maxGridSize": [2147483647, 65535, 65535], "maxBlockSize": [1024, 1024, 64], "warpSize": 32,
    "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048, "maxCtasPerSM": 32, "regsPerBlock": 65536,
    "maxRegistersPerSM": 65536, "maxSharedMemoryPerBlock": 49152, "maxSharedMemoryPerBlockOptin": 232448,
    "reservedSharedMemoryPerBlock": 1024, "oversizedSharedMemoryPerBlock": 0, "smClockRateKHz": 1980000,
    "memClockRateKHz": 2619000, "memoryBusWidth": 5120, "isTccDriver": 0, "supportCoopLaunch": 1,
}  # fmt: skip


def main() -> None:
    device = package.create_device_properties(json.dumps(H100))
    cudnn.target = lambda: {"device_property": device, "sm_version": 90}
    made, refused = 0, []
    for matmul.tf32 in (False, True):
        for draw, key in test_cuda_cudnn.graphs():
            try:
                cudnn.Plan(draw(*key))
                made += 1
            except Exception as error:  # said, with what was asked
                refused.append(f"{draw.__name__} {key}: {error}")
    print(*refused, f"{made} plans, {len(refused)} refused", sep="\n")


main()
