#!/usr/bin/env python3
"""Writes tests/fixtures/variety/: one small network in files as training scripts, wrappers and PyTorch's versions save it.

    python3 -m venv venv && venv/bin/pip install torch numpy
    venv/bin/python tests/reference/generate_pytorch_files.py

Each file holds the network of tests/fixtures/network.safetensors. variety.json says for each file under which prefix it
lies, what else is to be read, what is not, and whether `torch.load(weights_only=True)` of this PyTorch takes the file.
"""

import argparse
import collections
import copy
import datetime
import decimal
import fractions
import functools
import json
import pathlib
import shutil
import sys
import warnings

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "fixtures"))
FIXTURES = pathlib.Path(__file__).parent.parent / "fixtures"
HERE = FIXTURES / "variety"
warnings.filterwarnings("ignore")

# The network as it was saved, so that every file has its very values.
STATE = torch.load(FIXTURES / "network.pth", weights_only=True)
MANIFEST = {}


def network():
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.BatchNorm1d(4), torch.nn.Unflatten(1, (1, 2, 2)),
        torch.nn.ConvTranspose2d(1, 2, 2, 2),
    )
    model.load_state_dict(STATE)
    return model


def write(name, saved, prefix, unread=(), more=(), **options):
    torch.save(saved, HERE / name, **options)
    try:
        torch.load(HERE / name, weights_only=True)
        taken = True
    except Exception:
        taken = False
    MANIFEST[name] = {"prefix": prefix, "unread": sorted(unread), "more": sorted(more), "weights_only": taken}


class AttributeDict(dict):
    """As Lightning's for hyperparameters."""


class Config:
    def __init__(self):
        self.lr, self.weights = 1e-3, torch.zeros(2)


class Tagged(torch.Tensor):
    """A subclass of tensors, as fastai and torchvision have."""


def trained():
    """The state of an optimizer and a scheduler after a step. The network stays as it was."""
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), amsgrad=True)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5, 5])
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    scheduler.step()
    return optimizer.state_dict(), scheduler.state_dict()


def moments(path):
    names = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step")
    return [f"{path}.state.{index}.{name}" for index in range(6) for name in names]


def inert():
    """Objects beside tensors that people have saved."""
    a_list = [1, 2.5, None, True, "text", b"bytes"]
    a_list.append(a_list)  # within itself
    return {
        "device": torch.device("cuda:0"), "dtype": torch.float16, "size": torch.Size([3, 4]), "layout": torch.strided,
        "counter": collections.Counter("aab"), "set": {1, 2}, "frozen": frozenset({3}), "bytes": b"\x00\xff",
        "bytearray": bytearray(b"abc"), "complex": 1 + 2j, "huge": 1 << 200, "negative": -(1 << 40), "float": 0.1,
        "none": None, "yes": True, "no": False, "text": "ü\n", "surrogate": "\udc80", "slice": slice(1, 2),
        "range": range(3), "default": collections.defaultdict(list, {"a": [1]}), "deque": collections.deque([1]),
        "namespace": argparse.Namespace(lr=1e-3, device=torch.device("cpu")), "path": pathlib.PurePosixPath("/a/b"),
        "date": datetime.datetime(2024, 1, 2), "decimal": decimal.Decimal("1.5"), "fraction": fractions.Fraction(1, 3),
        "scalar": np.float64(0.5), "integer": np.int64(3), "array": np.arange(6).reshape(2, 3), "kind": np.dtype("f4"),
        "function": torch.nn.functional.relu, "partial": functools.partial(int, base=2), "class": torch.nn.Linear,
        "config": Config(), "attributes": AttributeDict(lr=1e-3), "list": a_list, ("a", 1): "tuple key", 1.5: "float key",
        "history": [{"loss": np.float32(i), "metrics": (i, float(i))} for i in range(3)],
        "generator": torch.Generator().get_state(), "tuple": ({"inner": torch.ones(1)},),
    }  # fmt: skip


UNREAD_OBJECTS = [
    "device", "layout", "counter", "frozen", "set", "bytes", "bytearray", "complex", "slice", "range", "deque", "namespace",
    "path", "date", "decimal", "fraction", "scalar", "integer", "array", "kind", "function", "partial", "class",
    "config", "attributes", "history.0.loss", "history.1.loss", "history.2.loss",
]  # fmt: skip


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    optimizer, scheduler = trained()
    trainer = {
        "epoch": 5, "model_state_dict": STATE, "optimizer_state_dict": optimizer, "loss": torch.tensor(0.25),
        "scheduler": scheduler,
    }  # fmt: skip
    more = ["loss", *moments("optimizer_state_dict")]
    write("trainer.pth", trainer, "model_state_dict.", ["scheduler.milestones"], more)
    write("trainer_legacy.pth", trainer, "model_state_dict.", ["scheduler.milestones"], more,
          _use_new_zipfile_serialization=False)  # fmt: skip

    lightning = {
        "epoch": 4, "global_step": 20, "pytorch-lightning_version": "2.4.0",
        "state_dict": {f"model.{name}": tensor for name, tensor in STATE.items()} | {"loss.weight": torch.ones(2)},
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 5}}}},
        "callbacks": {"ModelCheckpoint{'monitor': 'loss'}": {"best_model_score": torch.tensor(0.5), "best_k_models": {}}},
        "optimizer_states": [optimizer], "lr_schedulers": [scheduler], "MixedPrecision": {"scale": 1.0},
        "hparams_name": "kwargs", "hyper_parameters": AttributeDict(lr=1e-3, betas=(0.5, 0.999)),
    }  # fmt: skip
    more = ["state_dict.loss.weight", "callbacks.ModelCheckpoint{'monitor': 'loss'}.best_model_score"]
    write("lightning.ckpt", lightning, "state_dict.model.", ["lr_schedulers.0.milestones", "hyper_parameters"],
          more + moments("optimizer_states.0"))  # fmt: skip

    average = torch.optim.swa_utils.AveragedModel(network())
    write("averaged.pth", average.state_dict(), "module.", more=["n_averaged"])
    write("parameters.pth", collections.OrderedDict((name, torch.nn.Parameter(tensor, tensor.is_floating_point()))
          for name, tensor in STATE.items()), "")  # fmt: skip
    write("subclass.pth", {name: tensor.as_subclass(Tagged) for name, tensor in STATE.items()}, "")
    write("slots.pth", [None, (copy.copy(STATE), 3)], "1.0.")
    cycle = {"net": STATE}
    cycle["self"], cycle["again"] = cycle, STATE
    write("cycle.pth", cycle, "net.")
    for protocol in (2, 3, 4, 5):
        unread = [name for name in UNREAD_OBJECTS if protocol == 2 or name != "bytes"]
        if protocol >= 4:  # bytes, sets and short names have instructions of their own
            unread = [name for name in unread if name not in ("set", "frozen")]
        if protocol >= 5:
            unread.remove("bytearray")
        write(f"inert{protocol}.pth", inert() | {"state_dict": STATE}, "state_dict.", unread,
              ["generator", "tuple.0.inner"], pickle_protocol=protocol)  # fmt: skip

    floats = torch.tensor([1.0, -2.0, 0.5])
    kinds = {
        "int8": torch.tensor([-128, 127], dtype=torch.int8), "uint16": torch.tensor([0, 65535], dtype=torch.uint16),
        "uint32": torch.tensor([0, 2**32 - 1], dtype=torch.uint32), "bool": torch.tensor([True, False]),
        "uint64": torch.tensor([7], dtype=torch.uint64), "complex64": torch.tensor([1 + 2j]),
        "complex128": torch.tensor([1 + 2j], dtype=torch.complex128), "conjugate": torch.tensor([1 + 2j]).conj(),
        "float8": floats.to(torch.float8_e4m3fn), "quantized": torch.quantize_per_tensor(floats, 0.5, 0, torch.qint8),
        "sparse": floats.to_sparse(), "csr": floats.reshape(1, 3).to_sparse_csr(), "meta": floats.to("meta"),
        "negated": torch.tensor([1 + 2j]).conj().imag, "untyped": floats.clone().untyped_storage(),
        "typed": floats.clone().storage(),
    }  # fmt: skip
    unread = ["uint64", "complex64", "complex128", "conjugate", "float8", "quantized", "sparse", "csr", "meta"]
    write("kinds.pth", kinds | {"net": STATE}, "net.", unread, ["int8", "uint16", "uint32", "bool", "negated"])
    names = [*MANIFEST]
    (HERE / "variety.json").write_text(json.dumps(MANIFEST, indent=1) + "\n")
    torch.save(network(), HERE / "module.pth")
    print(f"{len(names)} files, {sum(path.stat().st_size for path in HERE.iterdir())} bytes")
    print("not taken by weights_only:", [name for name, told in MANIFEST.items() if not told["weights_only"]])


if __name__ == "__main__":
    main()
