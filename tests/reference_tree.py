"""The reference tree of RFC 6962's own tests (google/certificate-transparency): eight leaves."""

from __future__ import annotations

from sealward.events.tlog.merkle import leaf_hash

HEX = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
ENTRIES = [bytes.fromhex(one) for one in HEX]
LEAVES = [leaf_hash(one) for one in ENTRIES]
