"""Stretches of web, as coated and as they lie now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from line.web_piece import WebPiece


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of web in one piece: as-coated `md_start_um` to `md_end_um` of a roll, now `start_um` to `end_um`."""

    roll: str
    md_start_um: int
    md_end_um: int
    start_um: int
    end_um: int
    backwards: bool


def current_spans(pieces: Iterable[WebPiece], roll: str, md_start_um: int, md_end_um: int) -> tuple[Span, ...]:
    """Where an as-coated stretch of a roll lies on the web that the pieces make."""
    spans = []
    for piece in pieces:
        low_um, high_um = max(md_start_um, piece.md_start_um), min(md_end_um, piece.md_end_um)
        if piece.roll == roll and low_um < high_um:
            ends_um = sorted((piece.current_of(low_um), piece.current_of(high_um)))
            spans.append(_span(piece, (low_um, high_um), ends_um))
    return _merged(spans)


def as_coated_spans(pieces: Iterable[WebPiece], start_um: int, end_um: int) -> tuple[Span, ...]:
    """What a stretch of the web that the pieces make was coated as."""
    spans = []
    for piece in pieces:
        low_um, high_um = max(start_um, piece.start_um), min(end_um, piece.end_um)
        if low_um < high_um:
            md_um = sorted((piece.md_of(low_um), piece.md_of(high_um)))
            spans.append(_span(piece, md_um, (low_um, high_um)))
    return _merged(spans)


def _span(piece: WebPiece, md_um: Sequence[int], current_um: Sequence[int]) -> Span:
    return Span(
        roll=piece.roll,
        md_start_um=md_um[0],
        md_end_um=md_um[1],
        start_um=current_um[0],
        end_um=current_um[1],
        backwards=piece.backwards,
    )


def _merged(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Spans that follow each other both as coated and now, as one."""
    merged: list[Span] = []
    for span in spans:
        last = merged[-1] if merged else None
        if last and (last.roll, last.backwards, last.end_um) == (span.roll, span.backwards, span.start_um):
            if not span.backwards and last.md_end_um == span.md_start_um:
                merged[-1] = replace(last, md_end_um=span.md_end_um, end_um=span.end_um)
                continue
            if span.backwards and last.md_start_um == span.md_end_um:
                merged[-1] = replace(last, md_start_um=span.md_start_um, end_um=span.end_um)
                continue
        merged.append(span)
    return tuple(merged)
