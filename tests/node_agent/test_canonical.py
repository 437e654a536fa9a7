"""Canonical form: what is refused, what is left out, what each change touches."""

import copy
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from sealward.node_agent.measuring import canonical, profile
from sealward.node_agent.measuring.canonical import DomainXmlRefused

DOMAINS = Path(__file__).parent.parent / "assets" / "domains"
DEFINED = (DOMAINS / "real1-qemu.1-defined.inactive.xml").read_bytes()
UEFI_LIVE = (DOMAINS / "uefi6.0-running.live.xml").read_bytes()


def _digests(xml: str | bytes) -> dict[str, str]:
    return canonical.section_digests(canonical.normalise(xml))


def _changed(old: str | bytes, new: str | bytes) -> set[str]:
    before, after = _digests(old), _digests(new)
    return {name for name in profile.SECTIONS if before[name] != after[name]}


def _domain(inner: str = "", attributes: str = "") -> str:
    return f"<domain type='kvm'{attributes}><name>a</name>{inner}</domain>"


BOMB = (
    "<!DOCTYPE d [<!ENTITY a 'x'><!ENTITY b '&a;&a;&a;&a;'><!ENTITY c '&b;&b;&b;&b;'>]>"
    "<domain><name>&c;</name></domain>"
)


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        (BOMB, "DOCTYPE"),
        ("<!DOCTYPE domain SYSTEM 'file:///etc/passwd'><domain/>", "DOCTYPE"),
        ("<domain>" + "<a>" * 300 + "</a>" * 300 + "</domain>", "not well formed"),
        ("<domain>" + "<a/>" * 100_001 + "</domain>", "tags"),
        (_domain("".join(f"<a xmlns='urn:{i}'/>" for i in range(600))), "namespaces"),
        (_domain("<a " + " ".join(f"a{i}=''" for i in range(600)) + "/>"), "attributes"),
        (f"<domain><name>{'x' * 5_000_000}</name></domain>", "larger"),
        (_domain("<a/>stray"), "text beside"),
        ("<domain>stray<a/></domain>", "text beside"),
        ("<domain>stray</domain>", "text beside"),
        (_domain("<devices>stray</devices>"), "text beside"),
        (_domain("<os>stray<type/></os>"), "text beside"),
        ("<network/>", "root"),
        ("<domain", "not well formed"),
        ("<domain>&undeclared;</domain>", "not well formed"),
        ("", "not well formed"),
        ("<domain/>".encode("utf-16"), "UTF-8"),
        (b"<domain>\xff</domain>", "UTF-8"),
        ("<domain>\ud800</domain>", "UTF-8"),
        ("<domain><a xmlns='relative'/></domain>", "canonical"),
    ],
)
def test_what_cannot_be_measured_is_refused(xml: str | bytes, reason: str) -> None:
    """Hostile or lossy documents are refused with a reason and a stable code."""
    with pytest.raises(DomainXmlRefused, match=reason) as caught:
        _digests(xml)

    assert caught.value.code == "measurement.xml-refused"


def test_every_section_is_present() -> None:
    """An empty domain has a digest for each section, and no two are alike."""
    digests = _digests("<domain/>")

    assert tuple(digests) == profile.SECTIONS
    assert len(set(digests.values())) == len(profile.SECTIONS)


@pytest.mark.parametrize(
    ("inner", "section"),
    [
        ("<brandNew feature='on'/>", "other"),
        ("<devices><brandNew/></devices>", "other"),
        ("<devices x='y'/>", "other"),
        ("<x:thing xmlns:x='urn:x'/>", "other"),
        ("<q:commandline xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'/>", "qemu-ext"),
        ("<devices><emulator>/tmp/evil</emulator></devices>", "boot"),
        ("<devices><hostdev type='pci'/></devices>", "hostdevs"),
        ("<launchSecurity type='sev'/>", "security"),
        ("<vcpu>3</vcpu>", "tuning"),
        ("<seclabel type='none' model='dac'/>", "security"),
        ("<seclabel type='dynamic' relabel='no'/>", "security"),
        ("<resource><partition>/else</partition></resource>", "tuning"),
        ("<sysinfo type='smbios'><system><entry name='version'>1</entry></system></sysinfo>", "identity"),
    ],
)
def test_element_lands_in_its_section(inner: str, section: str) -> None:
    """Each element changes exactly the section it belongs to; the unknown ones change `other`."""
    assert _changed(_domain(), _domain(inner)) == {section}


def _device(inner: str) -> str:
    return _domain(f"<devices>{inner}</devices>")


CHANNEL = "<channel type='unix'>{}<target type='virtio' name='org.qemu.guest_agent.0'{}/></channel>"
AUTO_SOCKET = "/var/lib/libvirt/qemu/channel/target/domain-1-a/org.qemu.guest_agent.0"
NOVA = (
    "<metadata><n:instance xmlns:n='http://openstack.org/xmlns/libvirt/nova/1.1'>{}</n:instance></metadata>"
)
VNC = "<graphics type='vnc' autoport='{}' port='{}'{}/>"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_domain(), _domain(attributes=" id='7'")),
        (_domain(), _domain("<resource><partition>/machine</partition></resource>")),
        (
            _domain(),
            _domain("<seclabel type='dynamic' model='dac' relabel='yes'><label>x</label></seclabel>"),
        ),
        (_device("<rng/>"), _device("<rng><alias name='rng0'/></rng>")),
        (
            _device("<disk><source file='a'/></disk>"),
            _device("<disk><source file='a' index='3'/><backingStore/></disk>"),
        ),
        (
            _device("<disk><source protocol='https'/></disk>"),
            _device("<disk><source protocol='https'><cookies><cookie>b</cookie></cookies></source></disk>"),
        ),
        (_device("<interface/>"), _device("<interface><target dev='vnet12'/></interface>")),
        (_device("<interface/>"), _device("<interface><target dev='macvtap0'/></interface>")),
        (_device("<serial type='pty'/>"), _device("<serial type='pty'><source path='/dev/pts/3'/></serial>")),
        (_device("<console type='pty'/>"), _device("<console type='pty' tty='/dev/pts/3'/>")),
        (
            _device(VNC.format("yes", -1, "")),
            _device(VNC.format("yes", 5901, " websocket='5700' passwd='x'")),
        ),
        (
            _device(CHANNEL.format("", "")),
            _device(CHANNEL.format(f"<source mode='bind' path='{AUTO_SOCKET}'/>", " state='connected'")),
        ),
        (
            _domain(NOVA.format("<n:package version='1'/><n:creationTime>x</n:creationTime>")),
            _domain(NOVA.format("<n:package version='2'/><n:creationTime>y</n:creationTime>")),
        ),
    ],
)
def test_run_time_noise_is_left_out(one: str, other: str) -> None:
    """What libvirt or nova rewrite by themselves changes no digest."""
    assert _digests(one) == _digests(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_device("<rng/>"), _device("<rng><alias name='ua-mine'/></rng>")),
        (_device("<interface/>"), _device("<interface><target dev='vnet1x'/></interface>")),
        (_device("<interface/>"), _device("<interface><target dev='vnet'/></interface>")),
        (_device("<serial type='dev'/>"), _device("<serial type='dev'><source path='/dev/ttyS0'/></serial>")),
        (_device(VNC.format("no", 5900, "")), _device(VNC.format("no", 5901, ""))),
        (
            _device(CHANNEL.format("", "")),
            _device(CHANNEL.format("<source mode='bind' path='/tmp/org.qemu.guest_agent.0'/>", "")),
        ),
        (_domain("<os><cmdline>a</cmdline></os>"), _domain("<os><cmdline> a</cmdline></os>")),
        (_domain("<os><cmdline>a</cmdline></os>"), _domain("<os><cmdline> <![CDATA[a]]></cmdline></os>")),
        (_device("<disk n='1'/><disk n='2'/>"), _device("<disk n='2'/><disk n='1'/>")),
        (
            _domain("<seclabel type='dynamic'/>"),
            _domain("<seclabel type='dynamic'><baselabel>x</baselabel></seclabel>"),
        ),
        ("<domain type='kvm'/>", "<domain type='qemu'/>"),
    ],
)
def test_what_only_looks_like_noise_is_measured(one: str, other: str) -> None:
    """A rule for noise reaches no further than what libvirt writes by itself."""
    assert len(_changed(one, other)) == 1


def test_comments_and_instructions_do_not_count() -> None:
    """Comments, processing instructions and an XML declaration change no digest."""
    noisy = b"<?xml version='1.0'?><!-- a --><?b c?>" + DEFINED.replace(b"<os>", b"<os> <!-- a --> <?b c?> ")

    assert _digests(noisy) == _digests(DEFINED)


def test_text_and_bytes_measure_alike() -> None:
    """A str and its UTF-8 bytes have the same digests, with any encoding in the declaration."""
    text = _domain("<title>Zoë</title>")

    assert _digests(text) == _digests(text.encode())
    assert _digests("<?xml version='1.0' encoding='latin-1'?>" + text) == _digests(text)


def _restyled(xml: bytes, seed: int) -> bytes:
    """Shuffle attributes, re-indent at random and strew unused namespace declarations."""
    dice = random.Random(seed)  # noqa: S311 - a test needs repeatable dice, not secret ones
    return _rebuilt(etree.fromstring(xml, etree.XMLParser(remove_blank_text=True)), dice)


def _rebuilt(element: etree._Element, dice: random.Random) -> bytes:
    attributes = list(element.attrib.items())
    dice.shuffle(attributes)
    namespaces: dict[str | None, str] = dict(element.nsmap)
    if dice.random() < 0.1:
        namespaces[f"noise{dice.randrange(9)}"] = f"urn:noise:{dice.randrange(9)}"
    bare = etree.Element(element.tag, nsmap=namespaces)
    for name, value in attributes:
        bare.set(name, value)
    if not len(element):
        bare.text = element.text
        return etree.tostring(bare)
    bare.text = "CHILDREN"
    blank = "".join(dice.choices(" \n\t", k=dice.randrange(4))).encode()
    inner = b"".join(blank + _rebuilt(child, dice) for child in element) + blank
    return etree.tostring(bare).replace(b"CHILDREN", inner)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), xml=st.sampled_from([DEFINED, UEFI_LIVE]))
def test_style_never_changes_a_digest(seed: int, xml: bytes) -> None:
    """Attribute order, indentation and superfluous namespace declarations are not measured."""
    restyled = _restyled(xml, seed)

    assert _digests(restyled) == _digests(xml)


def _places() -> list[tuple[str, int, str | None]]:
    """List every kept attribute and text of a domain as (section, index in the part's tree, attribute)."""
    places: list[tuple[str, int, str | None]] = []
    root = canonical.normalise(DEFINED)
    order = {element: index for index, element in enumerate(root.iter())}
    for section, _, part in canonical.placed(root):
        for element in part.iter():
            index = order.get(element, 0)
            places += [(section, index, str(name)) for name in element.attrib]
            places += [(section, index, None)] if element.text else []
    return places


@settings(max_examples=150, deadline=None)
@given(place=st.sampled_from(_places()), suffix=st.text("abc ", min_size=1, max_size=5))
def test_any_kept_value_changes_exactly_its_section(place: tuple[str, int, str | None], suffix: str) -> None:
    """Each kept attribute and text is covered by the digest of its own section and no other."""
    section, index, name = place
    root = copy.deepcopy(canonical.normalise(DEFINED))
    element = list(root.iter())[index]
    if name is None:
        element.text = (element.text or "") + suffix
    else:
        element.set(name, element.get(name, "") + suffix)

    assert _changed(DEFINED, etree.tostring(root)) == {section}
