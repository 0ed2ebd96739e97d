"""Leaves secrets out of somebody else's words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

_SCHEMES: Final = (
    "bearer|basic|token|negotiate|digest|ntlm|kerberos|oauth|api-?key|key|hoba|mutual|dpop|gnap|vapid|privatetoken|hawk|mac|jwt"
    "|scram-sha-[0-9]+|sharedkey(?:lite)?|sharedaccesssignature|aws|aws4-hmac-sha256|sso-key"
)
"""Of Authorization: those that IANA has, and others that are met."""
_MIXED_WORD: Final = r"""
    (?! [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![\w-]) )
    (?! [\w~+/=.-]{1,200}\.(?:jpe?g|png|webp|gif|hei[cf]|avif|tiff?)(?!\w) )
    (?= [\w~+/=.-]{0,200}\d ) (?= [\d~+/=._-]{0,200}[a-z] )"""
"""A word with letters and digits that is no run's id and no photo's name."""
_JOINT: Final = r"(?: \\?[_.-] | %(?:25)*5f | &\#(?:95|x5f); | \\u005f )"
"""What joins the parts of a key, however it was escaped."""
_SECRETS: Final = rf"""(?ix)
      (?<![a-z]) (?: https? | runflow ) (?: : | \\u003a | %(?:25)*3a )(?=\S)[^\s"'<>]*  # FastAPI repeats what was sent,
    | (?<![a-z]) [a-z][a-z0-9+.-]{{1,15}} :// [^\s"'<>]*                                 # the presigned URL too
    | (?<![a-z]) data:[a-z]+/[^\s"'<>]*
    | (?<![a-z0-9]) (?: rf{_JOINT}[a-z]+ | whsec | [sp]k[_-](?:live|test) ) {_JOINT} [\w.~+/=%-]+
    | (?<![a-z0-9]) (?-i: A[A-Z]IA[A-Z0-9]{{12,}} )
    | (?<![a-z0-9]) (?-i: eyJ[\w-]{{8,}} ) (?: \.[\w-]* )*
    | (?P<label> (?<![a-z]) authorization ["'\\]* \s* (?: [:=] >? | → ) \s* ["'\\]* )
      (?: (?:{_SCHEMES}) \s+ | [a-z][a-z-]* \s+ {_MIXED_WORD} )?
      (?: (?: [a-z-]{{2,20}} = "[^"\n]*" [\s,]* )+ | [^\s"'<>]+ (?: (?<=,) \s* [a-z-]{{2,20}} = [^\s"'<>]+ )* )
    | (?<![a-z]) bearer (?: \s | [:="'] | %(?:25)*20 )+
      (?= [^\s"'<>]* (?: \d | [._~+/=-]\w ) | [^\s"'<>]{{16}} ) [^\s"'<>]+
    | (?<![a-z]) (?: set- )? cookie ["'\\]* \s* [:=] \s* ["'\\]* (?= [^\s"'<>=,;]+ = )  # a header, to the line's end
      (?: ="[^"\n]*" | [^\r\n"'<>] )+
    | (?<![a-z]) (?: token | negotiate | basic | ntlm | api[ ._-]?key | (?:client\s)? secret | password | passphrase )
      (?: \s+ (?: is | was | → ) )? \s+ ["']? {_MIXED_WORD} [\w~+/=.-]{{16,}}
    | (?<![a-z])
      (?: x[-_](?:amz|goog)[-_][a-z0-9_-]+ | [a-z_-]*signature | sig | awsaccesskeyid | key-pair-id
        | [a-z_-]{{0,40}}(?:api|access|secret|private)[-_. ]?key(?:[-_]?id)?
        | [a-z_-]{{0,40}}(?:secret|token|password|pwd) | set-cookie | cookie | credentials? )
      (?: ["'\\]* \s* (?: =>? | [-=]> | → | : \s* \\?["'] | %(?:25)*3[ad] | \\u003[ad] | ["'] \s* , ) \s* ["'\\]*
        | > (?= [^\s"'<>]+ </ )  # an element of XML
        | \s* : \s* (?: [|>][+-]?\s+ )? (?= [^\s"'<>&,;]* \d ) )
      [^\s"'<>&,;]+
    | (?<![a-z]) x[-_](?:amz|goog)[-_](?:signature|credential|security-token) \s* : \s* [^\s"'<>&,;]+
    | (?<![\w.+-]) [\w.+-]{{1,64}} : [^\s@/:"'<>]{{1,64}} @ [\w.-]+
    | -----BEGIN\ [a-z ]{{0,40}}KEY----- [^-]*"""
"""Compiled when first needed, as all of these: few invocations see anything that may hold a secret."""
_WORD: Final = r"""[^\s"'<>]+"""
# A presigned URL is known by its signature: its scheme may be left out.
_SIGNED: Final = r"""(?ix) (?: [?&;] | %(?:25)*(?:3f|26) | \\u0026 )
      (?: x[-_](?:amz|goog)[-_][a-z0-9_-]+ | signature | sig | token | expires | awsaccesskeyid | key-pair-id | policy )
      (?: = | %(?:25)*3d | \\u003d )"""
_ESCAPED: Final = r"(?:\\/|%(?:25)*(?:2[bBfF]|3[dD]))"
"""A sign of base64, as JSON and URLs may write it."""
_RANDOM: Final = rf"(?:[A-Za-z0-9+/_=-]|{_ESCAPED}){{40,}}"
_PIECE: Final = r"[A-Za-z0-9]+"
_NAME: Final = r"(?:[A-Z]?[a-z]{2,}|[A-Z]{2,})+\d*\Z|\d+\Z"
"""What people call files and folders: words, with a number behind them, and numbers."""
_HEX: Final = r"[0-9a-fA-F]+\Z"
_BREAKS: Final = frozenset("\t\n\v\f\r\x85")
_LEFT_OUT: Final = "<left out>"


def redacted(text: str, most: int = 500) -> str:
    """Somebody else's words, fit for a log or an item: no URL, key, signature or control character, at most `most`
    characters. A secret is found although characters that cannot be seen stand within it.
    """
    if len(text) > 8 * most:  # what follows cannot matter but by its length; a word that is cut could not be judged
        text = re.sub(r"\S+\Z", "", text[: 8 * most]) + "…"
    places: Sequence[int] = range(len(text))
    seen = text
    if not (text.isascii() and text.isprintable()):  # as few are
        places = [place for place, character in enumerate(text) if _is_seen(character)]
        seen = "".join(_as_judged(text[place]) for place in places)
    parts, end = [], 0
    for start, stop in _secret_spans(seen):
        first, last = places[start], places[stop - 1]
        parts += [text[end:first], _LEFT_OUT]
        end = last + 1
    safe = "".join([*parts, text[end:]])
    safe = "".join(character if character.isprintable() else " " for character in safe)
    return safe if len(safe) <= most else safe[: most - 1] + "…"


def _is_seen(character: str) -> bool:
    """Whether a character is shown or parts words: others can be put within a word unseen."""
    return character.isprintable() or character in _BREAKS or unicodedata.category(character).startswith("Z")


def _as_judged(character: str) -> str:
    """A wide letter, or another form of one, is the letter itself to who reads it."""
    plain = unicodedata.normalize("NFKC", character)
    return plain if len(plain) == 1 else character


def _secret_spans(text: str) -> list[tuple[int, int]]:
    """Where secrets are, in order and apart."""
    found = [
        (match.end("label") if match["label"] else match.start(), match.end()) for match in re.finditer(_SECRETS, text)
    ]
    found += [match.span() for match in re.finditer(_WORD, text) if re.search(_SIGNED, match[0])]
    found += [match.span() for match in re.finditer(_RANDOM, text) if _is_random(match[0])]
    spans: list[tuple[int, int]] = []
    for start, stop in sorted(found):
        if spans and start < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(stop, spans[-1][1]))
        else:
            spans.append((start, stop))
    return spans


def _is_random(run: str) -> bool:
    """Whether a long run of characters is a secret or a digest, in hex or base64, and no name or path."""
    if re.match(_HEX, run):
        return True
    run = re.sub(_ESCAPED, "/", run)
    if not (any(map(str.islower, run)) and any(map(str.isupper, run))):
        return False
    pieces = re.findall(_PIECE, run)
    signs = len(run) - sum(map(len, pieces))
    if signs * 8 <= len(run) and any(map(str.isdigit, run)):
        return True
    named = sum(len(piece) for piece in pieces if re.match(_NAME, piece) and (len(piece) > 2 or piece.isdigit()))
    return named * 2 < len(run) - signs
