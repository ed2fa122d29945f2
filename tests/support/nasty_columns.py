"""Columns that readers of tables are known to damage: what stands in the file, and the type it must come out as.

Written as `type: value|value|…`; a `·` is a space at an edge, `¶` a newline inside of quotes, `∅` an empty cell.
"""

from __future__ import annotations

CORPUS = """
String: 007|042
String: 00|01
String: 0123
String: 1|02
String: -01
String: 1e5
String: 1E5|2E6
String: 1e-5|3
String: 12e3
String: 5e-324
String: +5|+6
String: 5.
String: .5
String: -.5
String: 1.10|1.1
String: 1.0|1.10|1.2
String: 2.50|3
String: 3.140|3.1
String: 1.100|1.1000
String: -0
String: -0.0
String: 0x1F
String: 0b101
String: 0o17
String: 1_000
String: 1,000
String: 1,000.50
String: 1.000,50
String: 1'000
String: 1 000
String: 12,5|13,5
String: ·5
String: 5·
String: ·1|·2
String: 9223372036854775808
String: -9223372036854775809
String: 18446744073709551615
String: 123456789012345678901234567890
String: 0.1234567890123456789
String: 3.14159265358979323846
String: 123456789.123456789123
String: 9007199254740993.5
String: 9007199254740993|0.5
String: 1.7976931348623157e308
String: NaN
String: 1|NaN
String: 1.5|nan
String: NA
String: 1|NA
String: N/A
String: 1|n/a
String: null
String: 1|NULL
String: 1|None
String: nil
String: 1|-
String: 1|?
String: inf
String: 1.5|-inf
String: Infinity
String: TRUE|FALSE
String: True|False
String: true|TRUE
String: yes|no
String: Yes|No
String: y|n
String: t|f
String: T|F
String: on|off
String: true|1
String: true|yes
String: true|false|maybe
String: 2024-1-5
String: 2024-01-5
String: 01/02/2024
String: 31.12.2024
String: 12-31-2024
String: 2024/01/05
String: 20240105x
String: 2024-02-30
String: 2023-02-29
String: 2024-13-01
String: 2024-01-05|05.01.2024
String: 2024-01-05|n/a
String: 2024-01-05|2024-01-05T00:00:00Z
String: 2024-01
String: 2024-W01
String: 2024-01-05T10:00:00
String: 2024-01-05 10:00:00
String: 2024-01-05T10:00
String: 2024-01-05T10:00Z
String: 2024-01-05T25:00:00Z
String: 2024-01-05T10:00:00.1234567Z
String: 2024-01-05T10:00:00 CET
String: 2024-01-05T10:00:00Z|2024-01-05T10:00:00
String: 10:00
String: 10:00:00
String: 1:30 PM
String: P1D
String: Mar 5
String: MARCH1
String: SEPT2
String: OCT4
String: DEC1
String: 1-2
String: 3/4
String: 1E10
String: 2E11
String: 5E5
String: A|a
String: ·lead
String: trail·
String: ·
String: ··two··
String: a¶b
String: ¶
String: line1¶line2¶¶line4
String: a,b
String: ,
String: "
String: ""
String: he said "hi"
String: 'single'
String: `back`
String: a;b
String: a	b
String: back\\slash
String: \\n
String: #comment
String: # 1
String: //x
String: =1+1
String: +cmd
String: @sum
String: -1+1
String: %d
String: <b>
String: &amp;
String: 😀
String: 👩‍🔬
String: 🇨🇭|🇯🇵
String: é
String: é
String: ß|ẞ
String: İ|ı
String: 日本語
String: عربي
String: עברית
String: ไทย
String: \u200b
String: \u00a05
String: \u202e
String: ﬁ
String: １２３
String: ١٢٣
String: ½
String: 5%
String: $5
String: €5
String: 5€
String: (5)
String: 5-
String: 1.2.3
String: 1.2.3.4
String: 192.168.0.1
String: ::1
String: 00:1A:2B
String: 0041791234567
String: +41791234567
String: 978-3-16-148410-0
String: 02134
String: 1234567890123456789012
String: 6ba7b810-9dad-11d1-80b4-00c04fd430c8
String: 1e400
String: 0e0
String: 0E1234
String: 12D
String: 12f
String: 1L
String: 0.1.
String: --5
String: 5 6
String: {a:1}
String: {"a":1
String: {"a":1}|x
String: [1,2
String: {'a':1}
String: [1,2]|3
String: "quoted"
String: \u0085
String: a\u2028b
String: 1|two|3
String: 0|00
String: 1.5|1,5
String: 999999999999999999999|1
String: ∅|007
Int: 0
Int: 1|2|3
Int: -5|5
Int: 9223372036854775807
Int: -9223372036854775808
Int: 9007199254740993
Int: 1|∅|3
Int: ∅|∅|7
Int: 20240105
Int: 2024
Int: 0|1
Int: 10|100|1000
Int: 1000000000000
Float: 1.5|2.25
Float: 1.0|2.0
Float: 1.0|1.5|2.0
Float: 0.1|0.2
Float: -1.5|0.5
Float: 1|2.5
Float: 1|2|∅|0.5
Float: 1.50|2.25
Float: 19.90|5.00
Float: 0.30000000000000004
Float: 123456789.12
Float: 0.000001
Float: 100000.0
Float: 0.0
Float: 3.14|∅
Float: 1234567890.12345
Float: 2251799813685248.5
Float: 9007199254740992|0.5
String: 179769313486231570000.5
Boolean: true
Boolean: true|false
Boolean: false|∅
Date: 2024-01-05
Date: 2024-02-29|1999-12-31
Date: 0001-01-01
Date: 9999-12-31
Date: 2024-01-05|∅
DateTime: 2024-01-05T10:00:00Z
DateTime: 2024-01-05T10:00:00+02:00
DateTime: 2024-01-05 10:00:00Z
DateTime: 2024-01-05T10:00:00.5Z|2024-01-05T10:00:00.123456Z
DateTime: 2024-01-05T10:00:00-0530
DateTime: 1969-12-31T23:59:59Z
JSON: {}
JSON: {"a":1}|[1,2]
String: {"a":007}|{}
JSON: {"n":1e5,"m":1.10}
JSON: [1.0,  2]
JSON: {"t":"x"}
JSON: []|∅
String: ∅
"""


def columns() -> list[tuple[str, list[str | None]]]:
    """Each column: the type it must have, and its cells; None is an empty unquoted one."""
    found = []
    for line in CORPUS.strip("\n").split("\n"):
        kind, _, rest = line.partition(": ")
        text = rest.replace("·", " ").replace("¶", "\n")
        if "\\u" in text:
            text = text.encode("ascii", "backslashreplace").decode("unicode_escape")
        else:
            text = text.replace("\\\\", "\\")
        cells = text.split("|")
        found.append((kind, [None if cell == "∅" else cell for cell in cells]))
    return found
