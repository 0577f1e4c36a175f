"""An engine of TensorRT for the stand-in driver, since TensorRT can't run a plan without a GPU."""

from __future__ import annotations

import json

from inverting_network import HostFunction, invert

from stargan_rt import LabelSpace
from stargan_rt.backends import tensorrt_library as library

SPACE = LabelSpace({"faces": tuple("abcde")})
SIZE, DIM = (128, 128), SPACE.dim


class Network:
    """An engine and its inspector, whose contexts compute 255 - image + the first label value; an idle one nothing."""

    def __init__(self, trt, *profiles, fix=lambda shapes: shapes, idle=False):
        self.trt, self.profiles, self.idle = trt, profiles or ((1, 1, 4),), idle
        self.num_optimization_profiles = len(self.profiles)
        self.tensors = fix(
            {
                "image": (trt.TensorIOMode.INPUT, trt.DataType.UINT8, (-1, *SIZE, 3)),
                "label": (trt.TensorIOMode.INPUT, trt.DataType.FLOAT, (-1, DIM)),
                "translated": (trt.TensorIOMode.OUTPUT, trt.DataType.UINT8, (-1, *SIZE, 3)),
            }
        )
        self.num_io_tensors = len(self.tensors)
        self.executed, self.contexts, self.configs, self.works, self.logs = [], [], [], True, ()

    def get_tensor_name(self, i):
        return list(self.tensors)[i]

    def get_tensor_mode(self, name):
        return self.tensors[name][0]

    def get_tensor_dtype(self, name):
        return self.tensors[name][1]

    def get_tensor_shape(self, name):
        return self.tensors[name][2]

    def get_tensor_profile_shape(self, name, profile):
        return [(batch, *self.tensors[name][2][1:]) for batch in self.profiles[profile]]

    def create_execution_context(self, config=None):
        self.configs.append(config)
        self.contexts.append(Context(self))
        return self.contexts[-1]

    def create_engine_inspector(self):
        return self

    def get_engine_information(self, form):
        conv = {"ParameterType": "Convolution", "Weights": {"Type": "Half"}}
        return json.dumps({"Layers": [conv, conv, {"LayerType": "NoOp"}, "a name"]})


class Context:
    """An execution context, which computes with the shapes and addresses that it had when it was enqueued."""

    def __init__(self, network):
        self.network, self.calls, self.scratch, self.profile = network, [], None, 0
        self.shapes, self.addresses, self.work = {}, {}, []

    def set_device_memory(self, address, size):
        self.scratch = address, size

    def set_optimization_profile_async(self, profile, stream_handle):
        assert isinstance(stream_handle, int)
        assert not self.shapes  # they are lost
        self.profile = profile
        return self.network.works

    def set_tensor_address(self, name, address):
        self.calls.append(("address", name))
        self.addresses[name] = address
        return self.network.works

    def set_input_shape(self, name, shape):
        self.calls.append(("shape", name))
        self.shapes[name] = shape
        smallest, _, largest = self.network.profiles[self.profile]
        return smallest <= shape[0] <= largest

    def execute_async_v3(self, stream_handle):
        self.calls.append(("execute",))
        for severity, text in self.network.logs:
            library.log(self.network.trt).log(severity, text)
        if self.network.idle:
            return True
        shapes, addresses = dict(self.shapes), dict(self.addresses)
        self.work.append(HostFunction(lambda: self.network.executed.append(invert(shapes, addresses))))
        self.work[-1].enqueue(stream_handle)
        return self.network.works
