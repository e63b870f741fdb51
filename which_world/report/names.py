"""Where the rows of a report come from, and what their variables are called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

import pandas as pd

from which_world import arguments
from which_world.decisions import columns_by_variable
from which_world.design import Design, terms_of

if TYPE_CHECKING:
    from pathlib import Path


class TableAsRead(Protocol):
    """What a report takes from the table that `read_table` gives."""

    @property
    def data(self) -> pd.DataFrame | Path | None: ...
    @property
    def dropped(self) -> int: ...
    @property
    def names(self) -> Mapping[str, str]: ...
    @property
    def undefined(self) -> Mapping[str, int]: ...


class Source(NamedTuple):
    """What is known of the rows that a design was made from; no `data` where none are at hand."""

    data: pd.DataFrame | None
    dropped: int
    names: Mapping[str, str]
    undefined: Mapping[str, int]


def source_of(
    table: TableAsRead | None,
    dropped: int,
    names: Mapping[str, str] | None,
    undefined: Mapping[str, int] | None,
    data: pd.DataFrame | None,
) -> Source:
    """What is known of the rows of a design, from a table or told one by one."""
    dropped = arguments.count(dropped, "dropped", least=0)
    names = _of_table(names, "names", arguments.text)
    undefined = _of_table(undefined, "undefined", arguments.count)
    if table is None:
        return Source(data, dropped, names, undefined)
    if not all(hasattr(table, name) for name in Source._fields):
        arguments.refuse("table", table, "the Table of read_table(path, ...)", error=TypeError)
    told = {"data": data is not None, "dropped": dropped, "names": names, "undefined": undefined}
    if twice := [name for name, given in told.items() if given]:
        raise ValueError(
            f"{twice[0]}=... is told twice, since table=... holds it; accepted is either the table "
            "or what it holds."
        )
    rows = table.data if isinstance(table.data, pd.DataFrame) else None
    return source_of(None, table.dropped, table.names, table.undefined, rows)


def _of_table(mapping, name, check):
    """What `read_table` says of a file by name, or nothing."""
    accepted = f"Table.{name} of read_table"
    return arguments.mapping({} if mapping is None else mapping, name, accepted, check=check)


def rows_of(data: pd.DataFrame, design: Design) -> pd.DataFrame:
    """The data, if they are the rows that the design was made from."""
    arguments.instance(data, pd.DataFrame, "data", "the DataFrame that the design was made from")
    if len(data) != design.n:
        arguments.refuse("data", data, f"the {design.n:,} rows that the design was made from")
    return data


def labelled(design: Design, labels: Mapping[str, str] | None, names: Mapping[str, str]) -> Design:
    """The design, its variables called as the reader calls them."""
    accepted = "a mapping of names in the formulas to words, such as {'wt82_71': 'the weight gain'}"
    labels = {} if labels is None else labels
    labels = arguments.mapping(labels, "labels", accepted, check=arguments.text)
    if not labels:
        return design
    plain_names = {own: plain for plain, own in names.items()}
    labels = {plain_names.get(name, name): words.strip() for name, words in labels.items()}
    terms, variables = terms_of(design)
    groups = columns_by_variable(design)
    known = list(dict.fromkeys([design.outcome, design.treatment, *terms, *groups]))
    _check_labels(labels, known)
    called = {name: labels.get(name, name) for name in [*known, *sum(variables, ())]}
    pairs = zip(design.covariates, terms)
    covariates = tuple(_called(column, term, labels) for column, term in pairs)
    return replace(
        design,
        outcome=called[design.outcome],
        treatment=called[design.treatment],
        covariates=covariates,
        scales=design.scales.set_axis(list(covariates)),
        terms=tuple(called[term] for term in terms),
        variables=tuple(tuple(called[name] for name in names) for names in variables),
    )


def _check_labels(labels, known):
    """Refuse labels of no variable, without words, of several lines, or of two variables."""
    if any(name not in known for name in labels) or not all(labels.values()):
        arguments.refuse("labels", labels, f"words for {', '.join(known)}")
    if any(re.search(r"[\r\n]", words) for words in labels.values()):
        arguments.refuse("labels", labels, "words on one line")
    if len({labels.get(name, name) for name in known}) < len(known):
        arguments.refuse("labels", labels, "another label for each variable")


def _called(column, term, labels):
    """A column's label with its term as the reader calls it; what names the level stays."""
    if term not in labels:
        return column
    if column.startswith(term):
        return labels[term] + column.removeprefix(term)
    return f"{labels[term]} [{column}]"  # a level stands between the factors of a product
