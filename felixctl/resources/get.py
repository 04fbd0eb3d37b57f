"""`felixctl get`: print resources as tables, YAML, JSON or by a template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from datastore.defaults import DEFAULT_NAMESPACE, DEFAULT_URL
from felixctl.completion import complete_formats, complete_kinds
from felixctl.errors import MISUSED, CommandError
from felixctl.options import Url
from felixctl.resources.arguments import AllNamespaces, Files, Names, Namespace, Recursive, SkipUnsupported, noun_named
from felixctl.resources.files import read_manifests, skipped
from felixctl.resources.formats import TABLES
from felixctl.resources.manifests import ObjectKey, key_of
from felixctl.resources.print_resources import Asked, print_resources
from felixctl.resources.print_table import print_table
from felixctl.terminal import warn

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@app.command()
def get(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", help="The kind of resource.", autocompletion=complete_kinds),
    ] = None,
    names: Names = None,
    files: Files = None,
    recursive: Recursive = False,
    skip_unsupported: SkipUnsupported = False,
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="FORMAT",
            help="ps (the short table), wide, yaml, json, name, jsonpath=TEMPLATE, custom-columns=COLUMNS.",
            autocompletion=complete_formats,
        ),
    ] = "ps",
    labels: Annotated[
        str | None,
        typer.Option(
            "-l",
            "--selector",
            metavar="LABELS",
            help="Only resources with these labels: [b]rack=a,!old[/b] or has(rack).",
        ),
    ] = None,
    namespace: Namespace = None,
    all_namespaces: AllNamespaces = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Print resources: as a table, whole, or just the fields you name.

    What [b]-o yaml[/b] prints can be changed and given to [b]apply -f[/b].

    [b]-o jsonpath[/b] takes templates as kubectl does; see docs/calicoctl.md for how much of them.

    [b]-o custom-columns[/b] takes columns of the table (NAME,CIDR) and fields (SIZE:.spec.blockSize).

    [dim]$[/dim] felixctl get nodes -o wide
    [dim]$[/dim] felixctl get ippool default-ipv4-ippool -o yaml
    [dim]$[/dim] felixctl get wep -A -l app=web
    [dim]$[/dim] felixctl get -f peers.yaml -o yaml  [dim]# what the datastore has of what a file names[/dim]
    [dim]$[/dim] felixctl get nodes -o jsonpath='{range .items\\[*]}{.metadata.name}{"\\n"}{end}'
    [dim]$[/dim] felixctl get ippools -o custom-columns=NAME,CIDR,SIZE:.spec.blockSize
    """
    if bool(kind) == bool(files):
        raise CommandError("get what? Give a kind, or -f FILE (see felixctl get --help)", MISUSED)
    if labels and (names or files):
        raise CommandError("get: names and -l exclude each other", MISUSED)
    within = None if all_namespaces else namespace or DEFAULT_NAMESPACE
    namespaces = all_namespaces or namespace is not None
    if kind and not names and not labels and output in TABLES:
        print_table(url, noun_named(kind), within, wide=output == "wide", namespaces=namespaces)
        return
    if files:
        asked = _named_in(files, recursive, namespace, skip_unsupported)
    else:
        noun = noun_named(kind or "")
        asked = [Asked(noun, [key_of(noun, name, namespace) for name in names or ()])]
    print_resources(url, asked, within, output, labels or "", namespaces=namespaces)


def _named_in(files: Sequence[str], recursive: bool, namespace: str | None, skip_unsupported: bool) -> list[Asked]:
    """Return what files name, kind by kind, in their order."""
    contents = read_manifests(files, recursive, namespace, skip_unsupported=skip_unsupported)
    if contents.mistakes:
        raise CommandError(contents.mistakes)
    warn(skipped(contents))
    by_noun: dict[str, list[ObjectKey]] = {}
    for one in contents.manifests:
        by_noun.setdefault(one.key.noun.kind, []).append(one.key)
    return [Asked(found[0].noun, found) for found in by_noun.values()]
