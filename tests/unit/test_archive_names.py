import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyloom.archive.names import folder_of, is_plain, name_in_url, path_in
from skyloom.errors import UserError

EVIL = [
    "..", ".", "", "../a.fits", "a/../../b.fits", "/etc/passwd", "a\\b.fits", "..\\a.fits", "C:\\a.fits", "a\0.fits",
    "a\n.fits", "a\x1b[2J.fits", ".hidden.fits", "-rf.fits", "x" * 300 + ".fits", "nul", "CON.fits", "a b.fits",
    "~root", "a:b.fits", "．．/a.fits", "a\u202efits.exe", "$(reboot).fits", "a;b.fits", "a|b", "*",
]  # fmt: skip


@pytest.mark.parametrize("name", EVIL)
def test_evil_names_are_not_plain(name):
    assert not is_plain(name)


def test_real_names_are_plain():
    assert is_plain(
        "member.uid___A001_X11d_X15.ari_l.J10533978-7712338_sci.spw0_1_2_3_4_336505MHz.12m.cont.I.pbcor.fits"
    )
    assert is_plain("member.uid___A001_X87d_X29e._RA16_26_09.919__sci.spw25.cont.I.tt0.pbcor.fits.gz")


@given(st.text(max_size=300) | st.sampled_from(EVIL))
def test_no_product_leaves_the_store(tmp_path_factory, name):
    store = tmp_path_factory.getbasetemp() / "store"
    for product_id in (name, f"folder/{name}", f"{name}/file.fits"):
        try:
            place = path_in(store, product_id)
        except UserError:
            continue
        assert os.path.realpath(place).startswith(os.path.realpath(store) + os.sep)
        assert all(is_plain(part) for part in product_id.split("/"))


@given(st.text(max_size=300) | st.sampled_from(EVIL))
def test_folders_of_any_uid_are_plain(uid):
    assert is_plain(folder_of(uid))


def test_folder_is_what_alma_writes():
    assert folder_of("uid://A001/X1467/X291") == "uid___A001_X1467_X291"


def test_encoded_separators_in_an_address_are_seen():
    name = name_in_url("https://host/dataPortal/..%2f..%2fetc%2fpasswd?ID=3")
    assert name == "../../etc/passwd"
    assert not is_plain(name)
    assert name_in_url("https://host/dataPortal/member.uid___A001.fits") == "member.uid___A001.fits"


@pytest.mark.parametrize("linked", ["folder", "folder/a.fits"])
def test_symbolic_links_in_the_store_are_refused(tmp_path, linked):
    outside = tmp_path / "outside"
    outside.mkdir()
    link = tmp_path / "store" / linked
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with pytest.raises(UserError, match="symbolic link"):
        path_in(tmp_path / "store", "folder/a.fits")
