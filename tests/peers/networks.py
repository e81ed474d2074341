"""Whole networks on other systems, as JSON lines.

    python networks.py --system orion --network lola --runs 3

One image at a time, 128-bit security, the digits of `examples/data`. Orion and
HElayers compile the network themselves; for OpenFHE the two networks that are dense
layers behind at most one convolution are written by hand, the way an expert would:
diagonals with baby and giant steps, hoisted; LoLA's client sends a ciphertext for each
element of the kernel, so that its convolution needs no rotation.

A line holds `latency_s` (median of the evaluation alone), `largest_error` (absolute,
against the plain network) and `runs_s`, the time of each.
"""

import argparse
import contextlib
import io
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
N_CLASSES = 10


@dataclass(frozen=True)
class Conv:
    """A convolution with square kernels; `name` is the prefix of its tensors."""

    name: str
    stride: int = 1
    padding: int = 0


@dataclass(frozen=True)
class Dense:
    """A matrix and a bias."""

    name: str


@dataclass(frozen=True)
class Poly:
    """c0 + c1 x + c2 x^2, element by element."""

    coefficients: tuple


@dataclass(frozen=True)
class Pool:
    """Averages of 2 x 2 elements."""


@dataclass(frozen=True)
class Flatten:
    """Channels and pixels in one row."""


SQUARE = Poly((0.0, 0.0, 1.0))
NETWORKS = {
    "mlp": ("models/mlp", [Flatten(), Dense("1"), SQUARE, Dense("3"), SQUARE, Dense("5")]),
    "lola": (
        "models/lola",
        [Conv("0", 2, 1), SQUARE, Flatten(), Dense("3"), SQUARE, Dense("5")],
    ),
    "lenet5": (
        "models/lenet5",
        [
            *(Conv("0", 1, 2), SQUARE, Pool(), Conv("3"), SQUARE, Pool(), Flatten()),
            *(Dense("7"), SQUARE, Dense("9"), SQUARE, Dense("11")),
        ],
    ),
    "lenet_dense": (
        "lenet/dense/lenet",
        [
            Conv("conv1"),
            Poly((0.07380050420761108, 0.5017008781433105, 0.27712929248809814)),
            Pool(),
            Conv("conv2"),
            Poly((0.22767949104309082, 0.48049840331077576, 0.15395070612430573)),
            *(Pool(), Flatten(), Dense("fc1")),
            Poly((0.3550676107406616, 0.49620941281318665, 0.12328868359327316)),
            Dense("fc2"),
        ],
    ),
}


class Network:
    """Layers with their weights, and the images."""

    def __init__(self, name):
        file, self.layers = NETWORKS[name]
        self.name = name
        self.tensors = np.load(EXAMPLES / f"{file}.npz")
        self.images = np.load(EXAMPLES / "data/mnist_test_sample.npz")["x"].astype(float)

    def weight(self, layer):
        return self.tensors[f"{layer.name}.weight"].astype(float)

    def bias(self, layer):
        return self.tensors[f"{layer.name}.bias"].astype(float)

    def plain(self, image):
        """What the network says about an image [1, 28, 28]."""
        values = image
        for layer in self.layers:
            values = self.apply(layer, values)
        return values

    def apply(self, layer, x):
        match layer:
            case Conv():
                kernel = self.weight(layer)
                size, pad, stride = kernel.shape[2], layer.padding, layer.stride
                x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
                windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), (1, 2))
                sums = np.einsum("chwij,ocij->ohw", windows[:, ::stride, ::stride], kernel)
                return sums + self.bias(layer)[:, None, None]
            case Dense():
                return self.weight(layer) @ x + self.bias(layer)
            case Poly(coefficients):
                return sum(c * x**power for power, c in enumerate(coefficients))
            case Pool():
                channels, height, width = x.shape
                return x.reshape(channels, height // 2, 2, width // 2, 2).mean((2, 4))
            case Flatten():
                return x.reshape(-1)


class Orion:
    """Orion 1.0.2 on Lattigo, with rings like those of its own configurations.

    A level is taken by each layer and by each multiplication of a polynomial.
    """

    CHAINS = {
        5: {"LogN": 13, "LogQ": [29] + [26] * 5, "LogP": [29, 29], "LogScale": 26},
        7: {"LogN": 14, "LogQ": [45] + [35] * 7, "LogP": [51, 51], "LogScale": 35},
        9: {"LogN": 14, "LogQ": [40] + [30] * 10, "LogP": [39, 39], "LogScale": 30},
        11: {"LogN": 14, "LogQ": [40] + [29] * 11, "LogP": [39, 39], "LogScale": 29},
        12: {"LogN": 14, "LogQ": [40] + [26] * 12, "LogP": [39, 39], "LogScale": 26},
    }

    def __init__(self, network):
        import orion
        import torch

        self.orion = orion
        self.torch = torch
        depth = sum(not isinstance(layer, Flatten) for layer in network.layers)
        depth += sum(isinstance(layer, Poly) and layer != SQUARE for layer in network.layers)
        chain = next(chain for levels, chain in self.CHAINS.items() if levels >= depth)
        ckks = {**chain, "H": 8192, "RingType": "ConjugateInvariant"}
        options = {"margin": 2, "embedding_method": "hybrid", "backend": "lattigo"}
        options |= {"fuse_modules": True, "debug": False, "io_mode": "none"}
        with contextlib.redirect_stdout(io.StringIO()):
            orion.init_scheme({"ckks_params": ckks, "orion": options})
            self.net = self.module(network)
            self.net.eval()
            images = torch.tensor(network.images, dtype=torch.float32)
            self.net(images)
            orion.fit(self.net, images[:1])
            self.level = orion.compile(self.net)
            self.net.he()

    def module(self, network):
        import orion.nn as on

        torch = self.torch

        class Net(on.Module):
            def __init__(self):
                super().__init__()
                self.steps = []
                for index, layer in enumerate(network.layers):
                    module = self.build(layer)
                    setattr(self, f"step{index}", module)
                    self.steps.append(f"step{index}")

            def build(self, layer):
                match layer:
                    case Conv():
                        outputs, inputs, size, _ = network.weight(layer).shape
                        options = {"stride": layer.stride, "padding": layer.padding}
                        module = on.Conv2d(inputs, outputs, kernel_size=size, **options)
                    case Dense():
                        outputs, inputs = network.weight(layer).shape
                        module = on.Linear(inputs, outputs)
                    case Poly() if layer == SQUARE:
                        return on.Quad()
                    case Poly(coefficients):
                        return on.Activation(list(coefficients))
                    case Pool():
                        return on.AvgPool2d(2)
                    case Flatten():
                        return on.Flatten()
                module.weight.data = torch.tensor(network.weight(layer), dtype=torch.float32)
                module.bias.data = torch.tensor(network.bias(layer), dtype=torch.float32)
                return module

            def forward(self, x):
                for step in self.steps:
                    x = getattr(self, step)(x)
                return x

        return Net()

    def run(self, image):
        images = self.torch.tensor(image[None], dtype=self.torch.float32)
        encrypted = self.orion.encrypt(self.orion.encode(images, self.level))
        with contextlib.redirect_stdout(io.StringIO()):
            start = time.perf_counter()
            output = self.net(encrypted)
            seconds = time.perf_counter() - start
        logits = output.decrypt().decode().detach().numpy().reshape(-1)
        return seconds, logits[:N_CLASSES]


class HElayers:
    """pyhelayers, with its optimiser and its default context."""

    def __init__(self, network):
        import pyhelayers

        self.he = pyhelayers
        plain = pyhelayers.NeuralNetPlain()
        with tempfile.TemporaryDirectory() as folder:
            file = f"{folder}/{network.name}.onnx"
            write_onnx(network, file)
            plain.init_from_files(pyhelayers.PlainModelHyperParams(), [file])
        asked = pyhelayers.HeRunRequirements()
        asked.set_he_context_options([pyhelayers.DefaultContext()])
        asked.optimize_for_batch_size(1)
        asked.set_model_encrypted(False)
        asked.set_security_level(128)
        profile = pyhelayers.HeModel.compile(plain, asked)
        self.context = pyhelayers.HeModel.create_context(profile)
        self.model = plain.get_empty_he_model(self.context)
        self.model.encode(plain, profile)
        self.io = self.model.create_model_io_encoder()

    def run(self, image):
        encrypted = self.he.EncryptedData(self.context)
        self.io.encode_encrypt(encrypted, [image[None]])
        output = self.he.EncryptedData(self.context)
        start = time.perf_counter()
        self.model.predict(output, encrypted)
        seconds = time.perf_counter() - start
        logits = np.asarray(self.io.decrypt_decode_output(output)).reshape(-1)
        return seconds, logits[:N_CLASSES]


def write_onnx(network, file):
    """The network as an ONNX file, polynomials as Mul and Add."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants = [], []

    def constant(name, values):
        constants.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    def node(op, inputs, **attributes):
        output = f"v{len(nodes)}"
        nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    value = "x"
    for layer in network.layers:
        match layer:
            case Conv(name, stride, padding):
                weight = constant(f"{name}.weight", network.weight(layer))
                bias = constant(f"{name}.bias", network.bias(layer))
                options = {"strides": [stride] * 2, "pads": [padding] * 4}
                options["kernel_shape"] = list(network.weight(layer).shape[2:])
                value = node("Conv", [value, weight, bias], **options)
            case Dense(name):
                weight = constant(f"{name}.weight", network.weight(layer))
                bias = constant(f"{name}.bias", network.bias(layer))
                value = node("Gemm", [value, weight, bias], transB=1)
            case Poly(coefficients):
                value = write_poly(node, constant, value, coefficients)
            case Pool():
                value = node("AveragePool", [value], kernel_shape=[2, 2], strides=[2, 2])
            case Flatten():
                value = node("Flatten", [value], axis=1)
    graph = helper.make_graph(
        nodes,
        network.name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 28, 28])],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, [1, N_CLASSES])],
        constants,
    )
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), file)


def write_poly(node, constant, value, coefficients):
    """c0 + x (c1 + c2 x), or x^2."""
    if coefficients == SQUARE.coefficients:
        return node("Mul", [value, value])
    at = f"{value}.c"
    c0, c1, c2 = [constant(f"{at}{power}", [c]) for power, c in enumerate(coefficients)]
    inner = node("Add", [node("Mul", [value, c2]), c1])
    return node("Add", [node("Mul", [value, inner]), c0])


class OpenFHE:
    """OpenFHE in its leanest mode, networks by hand: `mlp` and `lola` alone."""

    PERIOD = 1024
    LEVELS = 5

    def __init__(self, network):
        import openfhe as fhe

        if network.name not in ("mlp", "lola"):
            sys.exit(f"{network.name} is not written by hand for OpenFHE")
        self.fhe = fhe
        asked = fhe.CCParamsCKKSRNS()
        asked.SetSecurityLevel(fhe.HEStd_128_classic)
        asked.SetMultiplicativeDepth(self.LEVELS)
        asked.SetScalingModSize(40)
        asked.SetFirstModSize(50)
        asked.SetBatchSize(self.PERIOD)
        asked.SetScalingTechnique(fhe.FIXEDMANUAL)
        asked.SetKeySwitchTechnique(fhe.HYBRID)
        self.context = fhe.GenCryptoContext(asked)
        for feature in (fhe.PKE, fhe.KEYSWITCH, fhe.LEVELEDSHE):
            self.context.Enable(feature)
        self.keys = self.context.KeyGen()
        self.context.EvalMultKeyGen(self.keys.secretKey)
        self.build(network)

    def build(self, network):
        matrices = [layer for layer in network.layers if isinstance(layer, Dense)]
        periods = [self.PERIOD, 128, 128][: len(matrices)]
        levels = [0, 2, 4][-len(matrices) :]
        self.dense = []
        for layer, period, level in zip(matrices, periods, levels):
            weight, bias = network.weight(layer), network.bias(layer)
            self.dense.append(Diagonals(self, weight, bias, period, level))
        steps = set().union(*(dense.steps() for dense in self.dense))
        self.context.EvalRotateKeyGen(self.keys.secretKey, sorted(steps))
        self.conv = next((layer for layer in network.layers if isinstance(layer, Conv)), None)
        if self.conv:
            self.kernel = network.weight(self.conv)
            side = (28 + 2 * self.conv.padding - self.kernel.shape[2]) // self.conv.stride + 1
            self.side = side
            taps = self.kernel[:, 0].reshape(self.kernel.shape[0], -1).T
            self.taps = [self.encode(np.repeat(tap, side * side), 0) for tap in taps]
            self.conv_bias = self.encode(np.repeat(network.bias(self.conv), side * side), 1)

    def encode(self, values, level):
        padded = np.pad(values, (0, self.PERIOD - len(values)))
        return self.context.MakeCKKSPackedPlaintext(list(padded), 1, level, None, self.PERIOD)

    def encrypt(self, values):
        return self.context.Encrypt(self.keys.publicKey, self.encode(values, 0))

    def inputs(self, image):
        if not self.conv:
            return [self.encrypt(image.reshape(-1))]
        pad, stride, side = self.conv.padding, self.conv.stride, self.side
        padded = np.pad(image[0], pad)
        size, channels = self.kernel.shape[2], self.kernel.shape[0]
        planes = []
        for row in range(size):
            for column in range(size):
                plane = padded[row::stride, column::stride][:side, :side]
                planes.append(self.encrypt(np.tile(plane.reshape(-1), channels)))
        return planes

    def square(self, x):
        return self.context.Rescale(self.context.EvalSquare(x))

    def first(self, inputs):
        """What the first layer makes of the inputs, squared."""
        if not self.conv:
            return self.square(self.dense[0](inputs[0]))
        total = None
        for plane, tap in zip(inputs, self.taps):
            product = self.context.EvalMult(plane, tap)
            total = product if total is None else self.context.EvalAdd(total, product)
        total = self.context.EvalAdd(self.context.Rescale(total), self.conv_bias)
        return self.square(total)

    def run(self, image):
        inputs = self.inputs(image)
        start = time.perf_counter()
        x = self.first(inputs)
        hidden, last = self.dense[-2], self.dense[-1]
        output = last(self.square(hidden(x)))
        seconds = time.perf_counter() - start
        plain = self.context.Decrypt(self.keys.secretKey, output)
        plain.SetLength(N_CLASSES)
        return seconds, np.array(plain.GetRealPackedValue()[:N_CLASSES])


class Diagonals:
    """A matrix by its diagonals: baby steps hoisted, giant steps, then folds.

    The input repeats with `period`; the output with the next power of two of rows.
    """

    def __init__(self, system, weight, bias, period, level):
        self.system = system
        rows = weight.shape[0]
        self.rows = 1 << (rows - 1).bit_length()
        self.baby = 1 << (self.rows.bit_length() // 2)
        self.folds = [self.rows << fold for fold in range((period // self.rows).bit_length() - 1)]
        padded = np.zeros((self.rows, period))
        padded[:rows, : weight.shape[1]] = weight
        slots = np.arange(system.PERIOD)
        self.diagonals = {}
        for step in range(self.rows):
            giant = step // self.baby * self.baby
            values = padded[slots % self.rows, (slots + step) % period]
            if values.any():
                encoded = system.encode(np.roll(values, giant), level)
                self.diagonals.setdefault(giant, {})[step - giant] = encoded
        repeated = np.tile(np.pad(bias, (0, self.rows - rows)), system.PERIOD // self.rows)
        self.bias = system.encode(repeated, level + 1)

    def steps(self):
        baby = {step for row in self.diagonals.values() for step in row}
        return (baby | set(self.diagonals) | set(self.folds)) - {0}

    def __call__(self, x):
        context = self.system.context
        shared = context.EvalFastRotationPrecompute(x)
        order = context.GetCyclotomicOrder()
        baby = {step for row in self.diagonals.values() for step in row}
        rotated = {
            step: context.EvalFastRotation(x, step, order, shared) if step else x for step in baby
        }
        total = None
        for giant, row in self.diagonals.items():
            inner = None
            for step, diagonal in row.items():
                product = context.EvalMult(rotated[step], diagonal)
                inner = product if inner is None else context.EvalAdd(inner, product)
            if giant:
                inner = context.EvalRotate(inner, giant)
            total = inner if total is None else context.EvalAdd(total, inner)
        for fold in self.folds:
            total = context.EvalAdd(total, context.EvalRotate(total, fold))
        return context.EvalAdd(context.Rescale(total), self.bias)


SYSTEMS = {"openfhe": OpenFHE, "orion": Orion, "helayers": HElayers}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--system", choices=SYSTEMS, required=True)
    parser.add_argument("--network", choices=NETWORKS, required=True)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()

    network = Network(args.network)
    system = SYSTEMS[args.system](network)
    runs = [system.run(image) for image in network.images[: args.runs]]
    plain = [network.plain(image) for image in network.images[: args.runs]]
    seconds = [run[0] for run in runs]
    errors = [np.abs(run[1] - expected).max() for run, expected in zip(runs, plain)]
    line = {"system": args.system, "network": args.network}
    line |= {"latency_s": statistics.median(seconds), "runs_s": seconds}
    print(json.dumps(line | {"largest_error": float(max(errors))}))


if __name__ == "__main__":
    main()
