"""A dense PyTorch model on its way to the chip: made sparse, trained on for a little, in 8 bits.

    python examples/pytorch/dense_to_sparse.py digits-fitted.onnx
    cs-hdl evaluate digits-fitted.onnx --data digits
    cs-hdl generate digits-fitted.onnx --board ulx3s-85f --out design

Needs the extra ``torch``. Put your own model and data in the places of `dense_model` and of the digits.
"""

from __future__ import annotations

import sys
from collections import OrderedDict

import torch
from torch import Tensor, nn

import cs_hdl.torch as cs
from cs_hdl.datasets.digits import load_digits_split

#: Weights of each kernel that stay: 3 of 9, 16 of 256; the last layer keeps all.
NONZEROS = {"conv": 3, "hidden": 16}


def dense_model() -> nn.Sequential:
    """Plain PyTorch, nothing of ours."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(1, 16, 3, padding=1),
            norm=nn.BatchNorm2d(16),
            relu=nn.ReLU(),
            pool=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            hidden=nn.Linear(256, 64),
            norm2=nn.BatchNorm1d(64),
            relu2=nn.ReLU(),
            output=nn.Linear(64, 10),
        )
    )


def train(model: nn.Module, images: Tensor, labels: Tensor, *, epochs: int) -> None:
    """Half a second an epoch."""
    model.train()
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(epochs):
        for some in torch.randperm(len(images)).split(32):
            loss = nn.functional.cross_entropy(model(images[some]), labels[some])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    model.eval()


def main(path: str) -> None:
    torch.manual_seed(0)
    splits = {name: load_digits_split(name) for name in ("train", "test")}
    images, labels = (torch.from_numpy(values) for values in splits["train"])
    seen, right = (torch.from_numpy(values) for values in splits["test"])
    images, seen = (values.permute(0, 3, 1, 2).float() for values in (images, seen))

    def accuracy(model: nn.Module) -> str:
        with torch.no_grad():
            return f"{(model(seen).argmax(1) == right).float().mean():.2%}"

    dense = dense_model()
    train(dense, images, labels, epochs=15)
    print("dense:", accuracy(dense))
    print("the largest weights:", accuracy(cs.convert(dense, nonzeros=NONZEROS)))
    sparse = cs.convert(dense, nonzeros=NONZEROS, images=images)
    print("fitted:", accuracy(sparse))
    train(sparse, images, labels, epochs=5)
    print("trained on:", accuracy(sparse))
    model = cs.fold_batch_norm(cs.prepare(sparse))
    cs.calibrate(model, images[:300])
    print("in 8 bits:", accuracy(model))
    cs.export_onnx(model, path, input_shape=(1, 8, 8))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "digits-fitted.onnx")
