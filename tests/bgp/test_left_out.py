"""What the sidecar's process does without, and that whoever does use it gets it."""

from __future__ import annotations

import asyncio
import functools
import inspect
import subprocess
import sys

import pytest

from bgp.left_out import OF_MSGSPEC, ModuleWhenUsed, is_coroutine_function

PROGRAM = """
import sys
from bgp.left_out import leave_out
leave_out()
leave_out()
"""


def in_sidecar(code: str) -> list[str]:
    ended = subprocess.run([sys.executable, "-c", PROGRAM + code], capture_output=True, text=True, check=True)
    return ended.stdout.splitlines()


def test_a_module_is_loaded_when_something_of_it_is_used_and_not_when_it_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unloaded = ModuleWhenUsed("colorsys", rgb_to_hls=None, hls_to_rgb=lambda *parts: parts)
    monkeypatch.setitem(sys.modules, "colorsys", unloaded)
    import colorsys
    from colorsys import hls_to_rgb, rgb_to_hls

    assert not hasattr(colorsys, "__path__")
    assert sys.modules["colorsys"] is unloaded
    assert hls_to_rgb(0, 1, 0) == (0, 1, 0)
    assert sys.modules["colorsys"] is unloaded
    assert rgb_to_hls(1, 1, 1) == (0.0, 1.0, 0.0)
    assert sys.modules["colorsys"] is not unloaded
    assert colorsys.ONE_THIRD == 1 / 3


def test_nothing_that_is_left_out_is_loaded_by_the_sidecar_with_its_signals() -> None:
    loaded = in_sidecar(f"""
import asyncio, signal
import bgp.process
async def with_signals():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.Event().set)
    await asyncio.wait_for(asyncio.gather(asyncio.sleep(0), asyncio.Event().wait(), asyncio.to_thread(int)), 0.01)
try:
    asyncio.run(with_signals())
except TimeoutError:
    pass
names = {{"datetime", "decimal", "inspect", "locale", "textwrap", "tokenize", "urllib.parse", "uuid"}}
names |= {{*{OF_MSGSPEC!r}, "asyncio.sslproto"}}
print([name for name in sorted(names) if getattr(sys.modules[name], "__file__", None)])
absent = ("argparse", "ast", "gettext", "ipaddress", "numbers", "platform", "typing_extensions", "_ssl")
print([name for name in absent if sys.modules.get(name)])
""")
    assert loaded == ["[]", "[]"]


def test_whoever_uses_what_is_left_out_gets_it() -> None:
    used = in_sidecar("""
import asyncio, inspect, linecache, locale, pathlib, platform, subprocess, traceback
print(pathlib.Path("/tmp/a b").as_uri())
print(subprocess.run(["echo", "text"], capture_output=True, text=True).stdout.strip())
print(platform.system(), platform.python_implementation())
try:
    raise ExceptionGroup("two", [ValueError(1), OSError(2)])
except ExceptionGroup as group:
    print("| ValueError: 1" in "".join(traceback.format_exception(group)))
print(linecache.getline(traceback.__file__, 3).strip())
print(asyncio.iscoroutinefunction(asyncio.sleep), inspect.isgenerator(each for each in ()))
""")
    assert used == ["file:///tmp/a%20b", "text", "Linux CPython", "True", "import collections.abc", "True True"]


def test_a_coroutine_function_is_told_as_python_tells_it() -> None:
    class Handler:
        async def handle(self) -> None: ...
        def plain(self) -> None: ...
        async def __call__(self) -> None: ...

    handler = Handler()
    for it in (
        *(handler.handle, handler.plain, Handler.handle, handler, asyncio.sleep, asyncio.Event().set, print, None),
        *(functools.partial(handler.handle), functools.partial(handler.plain)),
    ):
        assert is_coroutine_function(it) is inspect.iscoroutinefunction(it), it
