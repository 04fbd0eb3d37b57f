"""The whole of felix-py on three real nodes, one story after another on one cluster; build/kube.json has the figures.

a 100 pps ping between pods of two nodes runs while agents are restarted, upgraded, killed, and the API is away
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import pytest

from lab.state_model import PodState
from tests.cluster.cluster import OUTSIDE, Cluster
from tests.cluster.figures import Figures
from tests.cluster.image import archive
from tests.cluster.installation import AGENTS, NAMESPACE, apply, settle, wait_until_ready
from tests.cluster.ipam import address_problems, blocks_of, collecting_soon, ipam_problems
from tests.cluster.outside import telling_callers
from tests.cluster.pings import lost, ping_all, running_pods, unanswered
from tests.cluster.stream import streaming
from tests.cluster.workloads import deployment, service, stateful_set

pytestmark = pytest.mark.long

PODS, WEB = 30, "--selector=app=web"
RECREATED = 20
CHURNED, BATCH = 200, 25


@pytest.fixture(scope="module")
def whole(made: Cluster, figures: Figures) -> Iterator[Cluster]:
    """The cluster with thirty pods that serve `web`."""
    figures.note(nodes=len(made.names), pods=PODS)
    began = time.monotonic()
    made.kubectl.apply(deployment("web", PODS), service("web"))
    made.until("pods are ready", PODS, lambda: len(running_pods(made.kubectl, WEB)))
    figures.note(ready_seconds=round(time.monotonic() - began, 1))
    yield made
    made.kubectl("delete", "deployment,service", "web", "again", "--ignore-not-found", "--cascade=foreground")


def apart(made: Cluster) -> tuple[PodState, PodState]:
    """Return a pod of n1 and one of n2."""
    pods = {pod.node: pod for pod in running_pods(made.kubectl, WEB)}
    return pods["n1"], pods["n2"]


def test_thirty_pods_reach_one_another(whole: Cluster, figures: Figures) -> None:
    pods = running_pods(whole.kubectl, WEB)
    missing = unanswered(pods, ping_all(whole.kubectl, pods))
    figures.note(connectivity={"sent": PODS * (PODS - 1), "lost": len(missing)})
    assert missing == []


def test_a_rolling_restart_loses_no_packet(whole: Cluster, figures: Figures) -> None:
    one, other = apart(whole)
    with streaming(whole.kubectl, one, other.addresses[0]) as stream:
        whole.kubectl("rollout", "restart", AGENTS, f"--namespace={NAMESPACE}")
        settle(whole)
    figures.note_pings("rolling_restart", stream.count)
    assert stream.count.sent > 100
    assert stream.count.lost == 0, stream.said


def test_an_upgrade_loses_no_packet(whole: Cluster, figures: Figures) -> None:
    whole.load(archive("next", version="next"))
    one, other = apart(whole)
    with streaming(whole.kubectl, one, other.addresses[0]) as stream:
        apply(whole, "next")
        settle(whole)
    figures.note_pings("upgrade", stream.count)
    assert stream.count.sent > 100
    assert stream.count.lost == 0, stream.said


def test_a_pod_reaches_the_outside_under_the_address_of_its_node(whole: Cluster) -> None:
    one, _ = apart(whole)
    with telling_callers(whole.outside) as port:
        seen = whole.kubectl("exec", one.name, "--", "sh", "-c", f"nc -w 5 {OUTSIDE} {port} </dev/null")
    assert seen.strip() == whole.nodes[one.node].address


def test_pods_of_a_stateful_set_are_made_anew_in_place(whole: Cluster) -> None:
    whole.kubectl.apply(stateful_set("db"), service("db"))
    one, _ = apart(whole)
    for _ in range(RECREATED):
        whole.until("the pod is ready", 1, lambda: len(running_pods(whole.kubectl, "--selector=app=db")))
        [db] = running_pods(whole.kubectl, "--selector=app=db")
        assert ping_all(whole.kubectl, [one, db])[one.name], f"{one} does not reach {db}"
        whole.kubectl("delete", "pod", db.name, "--wait")
    whole.kubectl("delete", "statefulset,service", "db", "--cascade=foreground")


def test_pods_that_come_and_go_leave_nothing_in_ipam(
    whole: Cluster, figures: Figures, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two hundred, while containerd and the kubelet of a node are started anew."""
    before = failed_adds(whole)
    for number in range(CHURNED // BATCH):
        whole.kubectl.apply(deployment("churn", BATCH))
        whole.until("pods are ready", BATCH, lambda: len(running_pods(whole.kubectl, "--selector=app=churn")))
        whole.nodes[f"n{number % len(whole.names) + 1}"].restart(("containerd", "kubelet")[number % 2])
        whole.kubectl("delete", "deployment", "churn", "--cascade=foreground")
    failed = failed_adds(whole) - before
    figures.note(churn={"adds": CHURNED, "failed": failed.total()})
    with capsys.disabled():
        print("".join(f"\nfailed {times} times: {message}" for message, times in failed.items()), end=" ")
    # With no time to end in, a pod is gone from the API before its DEL.
    whole.until("all addresses are whose they should be", 1, lambda: not address_problems(whole))
    with collecting_soon(whole):
        whole.until("nothing is wrong in IPAM", 1, lambda: not ipam_problems(whole))
    figures.note(ipam_problems=ipam_problems(whole))


def test_a_deleted_node_gives_back_its_blocks_and_another_takes_its_name(whole: Cluster, figures: Figures) -> None:
    whole.kubectl("drain", "n3", "--ignore-daemonsets", "--force", "--timeout=120s")
    whole.power_cut("n3")
    whole.kubectl("delete", "node", "n3")
    whole.until("blocks of n3 are given back", 1, lambda: not blocks_of(whole, "n3"))
    figures.note(blocks_after_drain=blocks_of(whole, "n3"))
    whole.add("n3")
    wait_until_ready(whole)
    whole.kubectl.apply(deployment("again", 2, nodeName="n3"))
    whole.until("pods are ready", 2, lambda: len(running_pods(whole.kubectl, "--selector=app=again")))
    pods = [*running_pods(whole.kubectl, "--selector=app=again"), apart(whole)[0]]
    whole.until("no ping is lost", 1, lambda: not lost(pods, ping_all(whole.kubectl, pods)))


def failed_adds(made: Cluster) -> Counter[str]:
    """Return how often our plugin did not attach a pod, by what events say; a containerd that starts is not meant."""
    events = made.kubectl.get("events", "--field-selector=reason=FailedCreatePodSandBox")["items"]
    found = Counter[str]()
    for event in events:
        if 'plugin type="felix"' in event["message"]:
            found[event["message"]] += event.get("count") or event.get("series", {}).get("count", 1)
    return found
