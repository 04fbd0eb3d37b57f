"""`felixctl ipam release`: release leaked addresses, named one by one or by reports of `ipam check -o`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datastore.defaults import DEFAULT_URL
from datastore.fields import Address
from datastore.plain_claims import NODE
from datastore.store import Store
from datastore.summaries import ENDPOINTS
from felixctl.connection import writing
from felixctl.errors import MISUSED, CommandError
from felixctl.ipam.arguments import address_option
from felixctl.ipam.read_records import cluster_information, read_records
from felixctl.options import Url
from felixctl.terminal import show
from net.printable import one_line

if TYPE_CHECKING:  # imported late: this module is loaded for each `felixctl ipam`
    from felixctl.ipam.leak_report import Report


def release(
    ips: Annotated[
        list[str] | None,
        typer.Option("--ip", metavar="ADDRESS", help="The address to release; may be repeated.", show_default=False),
    ] = None,
    reports: Annotated[
        list[Path] | None,
        typer.Option(
            "--from-report",
            metavar="FILE",
            help="Those that this report of [b]ipam check -o[/b] calls leaked; with several reports, that all do.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Also release addresses in use, or by a report of another version or one written while unlocked.",
        ),
    ] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Release addresses that [b]ipam check[/b] found unused and that no agent releases.

    An address in use is refused: it would be assigned to another pod while the first still answers to it.

    The datastore has to be locked while reports are written and used, so that nothing is assigned in between; each
    address is released only if it is still assigned as the report says.

    [dim]$[/dim] felixctl ipam release --ip 10.65.84.131
    [dim]$[/dim] felixctl datastore lock && felixctl ipam check -o a.json; felixctl ipam release --from-report a.json
    """
    if bool(ips) == bool(reports):
        raise CommandError("ipam release: give --ip ADDRESS or --from-report FILE (see --help)", MISUSED)
    if ips:
        addresses = [address_option(ip, "ipam release") for ip in ips]
        show(writing(url, lambda store: _release(store, addresses, force)))
    else:
        read = [_report(path) for path in reports or ()]
        show(writing(url, lambda store: _release_leaked(store, read, force)))


async def _release(store: Store, addresses: Sequence[Address], force: bool) -> str:
    from ipam.allocator import Allocator  # imported late: a misused command does not need it

    used = {} if force else await _in_use(store)
    if sentences := [
        f"release {a}: {used[a]} uses it; give --force to release it anyway" for a in addresses if a in used
    ]:
        raise CommandError((*sentences, "nothing was released"))
    answer = await Allocator(store).release(addresses)
    freed = (f"Successfully released IP address {address}\n" for address in answer.released)
    return "".join((*freed, *(f"{address} is not assigned\n" for address in answer.unassigned)))


async def _in_use(store: Store) -> Mapping[Address, str]:
    """Return the addresses that pods and nodes use. Raises CommandError: a record can't be read, and may name one."""
    records = await read_records(store)
    if unread := records.unread_of(ENDPOINTS.kind_name, NODE):
        raise CommandError((*unread, "so it is not known what is in use; nothing was released"))
    return records.in_use


def _report(path: Path) -> Report:
    from felixctl.ipam import leak_report

    try:
        return leak_report.read(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"read {path}: {error}; nothing was released") from None
    except leak_report.ReportError as error:
        raise CommandError(f"{error}; nothing was released") from None


async def _release_leaked(store: Store, reports: Sequence[Report], force: bool) -> str:
    from felixctl.ipam import leak_report
    from felixctl.ipam.repair_apply import carry_out
    from felixctl.ipam.repair_plan import RecountHandle, ReleaseAddress, Repair
    from felixctl.versions import client_version

    now = await cluster_information(store)
    if sentences := list(leak_report.objections(reports, now, client_version(), force=force)):
        raise CommandError((*sentences, "nothing was released"))
    releases, handles = leak_report.leaked_in_all(reports)
    used = await _in_use(store)
    steps = [
        *(Repair(f"release {one.address}", ReleaseAddress(one)) for one in releases if one.address not in used),
        *(Repair(f"delete handle {handle}", RecountHandle(handle)) for handle in handles),
    ]
    in_use = (f"{one.address}: {used[one.address]} uses it now: left alone" for one in releases if one.address in used)
    sentences = [*in_use, *(done.sentence for done in await carry_out(store, steps))]
    lines = [f"  {one_line(sentence)}\n" for sentence in sentences]
    if not lines:
        return f"The {'reports name' if len(reports) > 1 else 'report names'} no leak.\n"
    return "".join(lines)
