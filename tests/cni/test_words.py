"""What is logged of a pod's device can be typed back."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pyroute2.netns
import pytest

from cni.protocol import Attachment, Pod
from cni.veth import Shape, words
from datastore.fields import address


@pytest.fixture
def namespaces() -> Iterator[tuple[str, str]]:
    """A host and a pod, without anything between them yet."""
    names = (f"felix-h{os.getpid()}", f"felix-p{os.getpid()}")
    for name in names:
        pyroute2.netns.create(name)
    try:
        yield names
    finally:
        for name in names:
            pyroute2.netns.remove(name)


def test_the_words_typed_back_make_the_same_device(namespaces: tuple[str, str]) -> None:
    host, pod = namespaces
    shape = Shape(
        name="cali0123456789a",
        device="eth0",
        attachment=Attachment("net", "c1", "eth0"),
        pod=Pod("default", "web"),
        addresses=(address("10.65.1.2"), address("fd80::2")),
        mtu=1440,
    )
    typed = [line.replace("POD", pod) for line in words(shape, shape.mtu)]
    shell = ["ip", "netns", "exec", host, "sh", "-ec", "\n".join(typed)]
    done = subprocess.run(shell, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    inside = subprocess.run(["ip", "-n", pod, "route"], capture_output=True, text=True, check=True).stdout
    assert "default via 169.254.1.1 dev eth0" in inside
    outside = subprocess.run(["ip", "-n", host, "link"], capture_output=True, text=True, check=True).stdout
    assert "cali0123456789a" in outside
    assert "mtu 1440" in outside
    assert "ee:ee:ee:ee:ee:ee" in outside
