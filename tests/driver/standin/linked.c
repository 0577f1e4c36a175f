/* Functions that PyCUDA links to by name, and that the stand-in lacks: PyCUDA loads only if each of them exists. */
#include "standin.h"

#define LACKS(name) \
  EXPORT CUresult name(void) { \
    ENTER("missing=1"); \
    return leave(NOT_SUPPORTED); \
  }

LACKS(cuArray3DCreate_v2) LACKS(cuArray3DGetDescriptor_v2) LACKS(cuArrayCreate_v2) LACKS(cuArrayDestroy)
LACKS(cuArrayGetDescriptor_v2) LACKS(cuCtxAttach) LACKS(cuCtxDisablePeerAccess)
LACKS(cuCtxEnablePeerAccess) LACKS(cuCtxGetCacheConfig) LACKS(cuCtxGetLimit) LACKS(cuCtxGetSharedMemConfig)
LACKS(cuCtxSetCacheConfig) LACKS(cuCtxSetLimit) LACKS(cuCtxSetSharedMemConfig) LACKS(cuDeviceCanAccessPeer)
LACKS(cuDeviceGetByPCIBusId) LACKS(cuDeviceGetPCIBusId) LACKS(cuFuncSetAttribute) LACKS(cuFuncSetBlockShape)
LACKS(cuFuncSetCacheConfig) LACKS(cuFuncSetSharedSize) LACKS(cuIpcCloseMemHandle) LACKS(cuIpcGetEventHandle)
LACKS(cuIpcGetMemHandle) LACKS(cuIpcOpenEventHandle) LACKS(cuIpcOpenMemHandle_v2) LACKS(cuLaunch) LACKS(cuLaunchGrid)
LACKS(cuLaunchGridAsync) LACKS(cuLinkAddData_v2) LACKS(cuLinkAddFile_v2) LACKS(cuLinkComplete) LACKS(cuLinkCreate_v2)
LACKS(cuLinkDestroy) LACKS(cuMemAllocManaged) LACKS(cuMemHostGetFlags) LACKS(cuMemHostRegister_v2)
LACKS(cuMemHostUnregister) LACKS(cuMemcpy2DAsync_v2) LACKS(cuMemcpy2DUnaligned_v2) LACKS(cuMemcpy2D_v2)
LACKS(cuMemcpy3DAsync_v2) LACKS(cuMemcpy3DPeer) LACKS(cuMemcpy3DPeerAsync) LACKS(cuMemcpy3D_v2) LACKS(cuMemcpyAtoA_v2)
LACKS(cuMemcpyAtoD_v2) LACKS(cuMemcpyAtoH_v2) LACKS(cuMemcpyDtoA_v2) LACKS(cuMemcpyHtoA_v2) LACKS(cuMemcpyPeer)
LACKS(cuMemcpyPeerAsync) LACKS(cuMemsetD16Async) LACKS(cuMemsetD16_v2) LACKS(cuMemsetD2D16Async)
LACKS(cuMemsetD2D16_v2) LACKS(cuMemsetD2D32Async) LACKS(cuMemsetD2D32_v2) LACKS(cuMemsetD2D8Async)
LACKS(cuMemsetD2D8_v2) LACKS(cuMemsetD32Async) LACKS(cuMemsetD32_v2) LACKS(cuModuleGetGlobal_v2)
LACKS(cuModuleGetSurfRef) LACKS(cuModuleGetTexRef) LACKS(cuModuleLoad) LACKS(cuModuleLoadData) LACKS(cuParamSetSize)
LACKS(cuParamSetTexRef) LACKS(cuParamSetf) LACKS(cuParamSeti) LACKS(cuParamSetv) LACKS(cuProfilerInitialize)
LACKS(cuProfilerStart) LACKS(cuProfilerStop) LACKS(cuStreamAttachMemAsync) LACKS(cuSurfRefGetArray)
LACKS(cuSurfRefSetArray) LACKS(cuTexRefCreate) LACKS(cuTexRefDestroy) LACKS(cuTexRefGetAddressMode)
LACKS(cuTexRefGetAddress_v2) LACKS(cuTexRefGetArray) LACKS(cuTexRefGetFilterMode) LACKS(cuTexRefGetFlags)
LACKS(cuTexRefGetFormat) LACKS(cuTexRefSetAddress2D_v3) LACKS(cuTexRefSetAddressMode) LACKS(cuTexRefSetAddress_v2)
LACKS(cuTexRefSetArray) LACKS(cuTexRefSetFilterMode) LACKS(cuTexRefSetFlags) LACKS(cuTexRefSetFormat)
