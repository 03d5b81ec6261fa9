"""The peers: other ways to run the same weights."""

from __future__ import annotations

from albert_edge.benchmark.peers.openvino import OPENVINO, OPENVINO_INT8
from albert_edge.benchmark.peers.optimum import OPTIMUM, OPTIMUM_INT8
from albert_edge.benchmark.peers.torch import TORCH, TORCH_FP16, TORCH_FP16_COMPILED, TORCH_INT8
from albert_edge.benchmark.runtimes import Runtime

PEERS: dict[str, Runtime] = {
    peer.name: peer
    for peer in (
        *(TORCH, TORCH_INT8, OPTIMUM, OPTIMUM_INT8, OPENVINO, OPENVINO_INT8),
        *(TORCH_FP16, TORCH_FP16_COMPILED),
    )
}
