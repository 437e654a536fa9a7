"""Masking: secrets go, the rest stays readable."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from sealward.node_agent.measuring.masking import mask_text, mask_tree

SECRETS = st.text("ABCDEFGHXYZ0123456789_-", min_size=8, max_size=30)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("console=ttyS0 password=hunter2 quiet", "console=ttyS0 password=*** quiet"),
        ("root_passwd: hunter2,x=1", "root_passwd: ***,x=1"),
        ("a=1&api_key=hunter2&b=2", "a=1&api_key=***&b=2"),
        ("API-KEY = 'hunter 2' tail", "API-KEY = '***' tail"),
        ('{"token": "hunter2", "n": 1}', '{"token": "***", "n": 1}'),
        ('say "secret=hunter2" now', 'say "secret=***" now'),
        ("https://bob:hunter2@example.org/x?y", "https://bob:***@example.org/x?y"),
        ("rbd:pool/image:id=admin", "rbd:pool/image:id=admin"),
        ("secret,id=sec0,data=hunter2,format=raw", "secret,id=sec0,data=***,format=raw"),
        ("Authorization: Bearer hunter2", "Authorization: Bearer ***"),
        ("/srv/guests/initrd.img", "/srv/guests/initrd.img"),
        ("qemu+ssh://root@node/system", "qemu+ssh://root@node/system"),
    ],
)
def test_values_are_masked_and_the_rest_kept(text: str, masked: str) -> None:
    """Only the value of a secret-looking assignment, URL or header is replaced."""
    assert mask_text(text) == masked


@given(st.text("pasword=token: '\"\\,;&*@/", max_size=60))
def test_masking_is_idempotent(text: str) -> None:
    """Masking what is masked already changes nothing."""
    once = mask_text(text)

    assert mask_text(once) == once


@pytest.mark.parametrize(
    "template",
    [
        "<a passwd='{}'/>",
        "<a adminPassword='{}'/>",
        "<entry name='db_password'>{}</entry>",
        "<api_key>{}</api_key>",
        "<q:env xmlns:q='urn:q' name='ACCESS_KEY' value='{}'/>",
        "<cmdline>ro credential={} quiet</cmdline>",
        "<cmdline><b/>ro credential={} quiet</cmdline>",
        "<arg value='private-key={},x=y'/>",
        "<source url='https://u:{}@h/p'/>",
    ],
)
@given(secret=SECRETS)
def test_no_secret_survives_in_a_tree(template: str, secret: str) -> None:
    """Each value under a secret-looking name is masked."""
    root = etree.fromstring(template.format(secret))
    mask_tree(root)

    assert secret not in etree.tostring(root, encoding="unicode")


@pytest.mark.parametrize("hostile", ["a" * 10**6, "://a:" * 10**5, "password=" * 10**5, 'token="' * 10**5])
def test_hostile_text_costs_linear_time(hostile: str) -> None:
    """No text makes the patterns backtrack without bound."""
    start = time.perf_counter()
    mask_text(hostile)

    assert time.perf_counter() - start < 5
