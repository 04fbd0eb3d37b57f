"""The API server is away, or what it keeps its records in, while pods come and go and an agent is started anew.

         n1: its agent is killed     n2               n3
steady   ─────────── 100 pings a second ──►
hit      sandboxes die: DELs succeed and are carried out later, ADDs are to be tried again (code 11)
churned  some were just coming and some going when it went away
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from statistics import median, quantiles

import pytest

from cni.verbs import NOT_READY
from lab.state_model import PodState
from tests.cluster.attempts import Attempt, attempts, pauses
from tests.cluster.cluster import Cluster
from tests.cluster.figures import Figures
from tests.cluster.installation import NAMESPACE, settle, wait_until_ready
from tests.cluster.ipam import address_problems, collecting_soon, ipam_problems
from tests.cluster.pings import running_pods
from tests.cluster.plugin import kill_sandbox, try_add, waiting_releases
from tests.cluster.state import agents_ready, mesh, pod_routes, sessions_up
from tests.cluster.stream import streaming
from tests.cluster.workloads import daemon_set, deployment

pytestmark = pytest.mark.long

AWAY_SECONDS = 60
CONVERGED_SECONDS = 10.0
"""Within these agents are to have made up for all, so none may wait for longer before it tries again. On a busy machine
they have twice as long as as many pods take there to be ready when nothing is amiss, up to CLIENTS_OWN_PAUSE."""
CLIENTS_OWN_PAUSE = 30.0
"""To so long at least the pauses of Kubernetes' own clients grow before they look for an API server again."""
KUBELETS_OWN_PAUSE = 10.0
"""So long a kubelet waits at least after a refusal before it asks again, unless it was told to ask sooner."""
CHURNED = 12
AGENT = "felix-agent"
TRY_AGAIN = 11
ALONE = {"automountServiceAccountToken": False}
"""A kubelet asks for a pod's token after longer and longer pauses, up to minutes after the API server is back."""
TOO_SLOW = ("no answer within", "it answers neither", "no connection to it could be made in time")
"""How an agent says that it did not hear of the API server in time, which has much to do after an absence."""
OURS, STAYING = "--selector=app in (steady, hit, coming, going)", "--selector=app in (steady, hit, coming)"

Absence = Callable[[Cluster], AbstractContextManager[None]]
Look = Callable[[], bool]


@contextmanager
def api_server_killed(made: Cluster) -> Iterator[None]:
    api = made.control_plane.api
    api.api_server.end()
    try:
        yield
    finally:
        api.api_server.start()
        api.wait_until_ready()


@contextmanager
def etcd_stopped(made: Cluster) -> Iterator[None]:
    api = made.control_plane.api
    os.kill(api.etcd.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(api.etcd.pid, signal.SIGCONT)
        api.wait_until_ready()


@pytest.fixture
def churning(made: Cluster) -> Iterator[Cluster]:
    """The cluster, which has nothing of this test's before and after.

    The agent that is to be killed is in a new pod, as kubelets start again at once what has not ended lately: the tests
    before have killed agents often, and each doubles the pause, up to five minutes.
    """
    made.kubectl("delete", "pods", *agent_of("n1"))
    wait_until_ready(made)
    yield made
    made.kubectl("delete", "daemonset,deployment", OURS, "--cascade=foreground")


@pytest.mark.parametrize("absence", [api_server_killed, etcd_stopped])
def test_running_pods_lose_nothing_and_the_others_are_made_up_for(
    churning: Cluster, absence: Absence, figures: Figures, capsys: pytest.CaptureFixture[str]
) -> None:
    made, nodes = churning, churning.nodes
    began = time.monotonic()
    steady, hit = start(made)
    as_usual = time.monotonic() - began
    with streaming(made.kubectl, steady["n1"], steady["n2"].addresses[0]) as stream:
        made.kubectl("scale", "deployment", "coming", f"--replicas={CHURNED}")
        made.kubectl("delete", "deployment", "going", "--wait=false")
        went = datetime.now(UTC)
        with absence(made):
            began = time.monotonic()
            nodes["n1"].kill(AGENT)
            for name, pod in hit.items():
                kill_sandbox(nodes[name], pod.name)
            made.until("DELs wait on each node", len(nodes), lambda: sum(waiting_releases(nodes[n]) > 0 for n in nodes))
            assert {name: try_add(node).get("code") for name, node in nodes.items()} == dict.fromkeys(nodes, TRY_AGAIN)
            time.sleep(max(0.0, began + AWAY_SECONDS - time.monotonic()))
        back = datetime.now(UTC)
        seconds = first_times(made, {**ours(made), **of_kubernetes(made)})
    in_line = back + timedelta(seconds=max(seconds[each] for each in ours(made)))
    settle(made)
    tried = attempts_since(made, went)
    paused = pauses(tried, NOT_READY)
    assert len(paused) > 1, f"hardly a kubelet was told that {NOT_READY}, and asked again: {tried}"
    seconds |= times_of_kubelets(made, tried, went, back)
    figures.note_absence(absence.__name__, seconds)
    refused = [one.refusal for one in tried if one.refusal and one.asked > in_line]
    excused = [refusal for refusal in refused if any(reason in refusal for reason in TOO_SLOW)]
    with capsys.disabled():
        print(f"\n{absence.__name__}, seconds after it was over: {_listed(seconds)};", end=" ")
        print(f"the pods before took {as_usual:.1f};", end=" ")
        print(f"kubelets asked again after {min(paused):.1f} to {max(paused):.1f};", end=" ")
        print(f"of the pods that were coming: {_listed(times_of_coming(made, back))}", end=" ")
        print("".join(f"\nrefused later, as the API server was too slow: {line}" for line in excused), end=" ")
    enough = min(max(CONVERGED_SECONDS, 2 * as_usual), CLIENTS_OWN_PAUSE)
    assert max(seconds[each] for each in ours(made)) < enough
    assert [refusal for refusal in refused if refusal not in excused] == []
    waited = [(one.answered - max(one.asked, back)).total_seconds() for one in tried if one.answered > back]
    assert max(waited, default=0.0) < enough
    assert median(pauses(tried)) < KUBELETS_OWN_PAUSE
    assert quantiles(paused, n=10)[-1] < KUBELETS_OWN_PAUSE
    assert max(announced_pauses(made, "n1")) < CONVERGED_SECONDS
    assert stream.count.lost == 0, stream.said
    assert stream.count.sent > AWAY_SECONDS * 10
    made.until("all addresses are whose they should be", 1, lambda: not address_problems(made))
    with collecting_soon(made):
        made.until("nothing is wrong in IPAM", 1, lambda: not ipam_problems(made))
    routed = [address for node in nodes.values() for address in pod_routes(node)]
    assert len(routed) == len(set(routed))
    assert {pod.addresses[0] for pod in running_pods(made.kubectl, OURS)} <= set(routed)


def start(made: Cluster) -> tuple[dict[str, PodState], dict[str, PodState]]:
    """Have all pods but those to come; return those called steady and hit, by their nodes."""
    made.kubectl.apply(daemon_set("steady", **ALONE), daemon_set("hit", **ALONE))
    made.kubectl.apply(deployment("going", CHURNED, **ALONE), deployment("coming", 0, **ALONE))
    wanted = 2 * len(made.nodes) + CHURNED
    made.until("pods are ready", wanted, lambda: len(running_pods(made.kubectl, OURS)))
    found = (running_pods(made.kubectl, f"--selector=app={name}") for name in ("steady", "hit"))
    steady, hit = ({pod.node: pod for pod in pods} for pods in found)
    return steady, hit


def ours(made: Cluster) -> dict[str, Look]:
    """Return how it is seen that agents have made up for each thing."""
    nodes = made.nodes.values()
    return {
        "DELs carried out": lambda: not any(map(waiting_releases, nodes)),
        "agents ready": lambda: agents_ready(made) == len(nodes),
        "sessions up": lambda: sessions_up(made) == mesh(made),
    }


def of_kubernetes(made: Cluster) -> dict[str, Look]:
    """Return the same of pods. Whoever makes and starts them hears of the API server again after pauses of its own."""
    wanted = 2 * len(made.nodes) + CHURNED
    return {
        "pods gone": lambda: not made.kubectl.get("pods", "--selector=app=going")["items"],
        "pods ready": lambda: len(running_pods(made.kubectl, STAYING)) == wanted,
    }


def first_times(made: Cluster, looks: Mapping[str, Look]) -> dict[str, float]:
    """Return after how many seconds from now each is so for the first time; at once they need not be.

    Each is looked at by itself, half of the time: to ask all agents takes seconds on a busy machine.
    """
    began, found, is_over = time.monotonic(), dict[str, float](), threading.Event()

    def look_until_seen(what: str) -> None:
        while what not in found and not is_over.is_set():
            begun = time.monotonic()
            if looks[what]():
                found[what] = time.monotonic() - began
            is_over.wait(time.monotonic() - begun)

    def seen() -> int:
        for one in looking:
            if one.done():
                one.result()
        return len(found)

    with ThreadPoolExecutor(len(looks)) as at_once:
        looking = [at_once.submit(look_until_seen, what) for what in looks]
        try:
            made.until(f"each of {', '.join(looks)}", len(looks), seen)
        finally:
            is_over.set()
    return found


def times_of_coming(made: Cluster, since: datetime) -> dict[str, float]:
    """Return in seconds when the last of the pods that were coming got to each step, as the API server has it.

    made: by the controllers. scheduled: by the scheduler. begun: by its kubelet. ready: started, with its address.
    """
    steps: dict[str, list[str]] = {"made": [], "scheduled": [], "begun": [], "ready": []}
    for pod in made.kubectl.get("pods", "--selector=app=coming")["items"]:
        when = {one["type"]: one["lastTransitionTime"] for one in pod["status"]["conditions"]}
        steps["made"].append(pod["metadata"]["creationTimestamp"])
        steps["scheduled"].append(when["PodScheduled"])
        steps["begun"].append(pod["status"]["startTime"])
        steps["ready"].append(when["Ready"])
    return {step: (datetime.fromisoformat(max(times)) - since).total_seconds() for step, times in steps.items()}


def attempts_since(made: Cluster, moment: datetime) -> list[Attempt]:
    """Return all attempts of the cluster's kubelets to have a sandbox made, answered since a moment."""
    found = (one for node in made.nodes.values() for one in attempts(node.log("containerd")))
    return [one for one in found if one.answered > moment]


def times_of_kubelets(made: Cluster, tried: Sequence[Attempt], went: datetime, back: datetime) -> dict[str, float]:
    """Return in seconds after the absence when kubelets came to what agents can answer to.

    kubelets hear of pods: the last of them, and 0 where none had lost its watch. sandboxes asked for, and had: the last
    of those that could be made, and 0 where all were had before. asked again after: the middle of their pauses when
    they were told to ask again soon.
    """
    watching = made.control_plane.began_watching(went).values()
    had = [one for one in tried if not one.refusal and one.answered > back]
    return {
        "kubelets hear of pods": max(((at - back).total_seconds() for at in watching), default=0.0),
        "sandboxes asked for": max(((one.asked - back).total_seconds() for one in had), default=0.0),
        "sandboxes had": max(((one.answered - back).total_seconds() for one in had), default=0.0),
        "asked again after": median(pauses(tried, NOT_READY)),
    }


def _listed(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{what} {passed:.1f}" for what, passed in seconds.items())


def agent_of(node: str) -> tuple[str, str, str]:
    """Return what names the pod of a node's agent to kubectl."""
    on_it, ours = f"--field-selector=spec.nodeName={node}", "--selector=app.kubernetes.io/name=felix-py-node"
    return f"--namespace={NAMESPACE}", on_it, ours


def announced_pauses(made: Cluster, node: str) -> list[float]:
    """Return after how many seconds each the agent of a node that waits for the API server says it tries again."""
    [pod] = made.kubectl.get("pods", *agent_of(node))["items"]
    log = made.kubectl("logs", pod["metadata"]["name"], f"--namespace={NAMESPACE}", "--container=agent")
    return [float(seconds) for seconds in re.findall(r"start up: .*; next try in ([0-9.]+) s", log)]
