"""What an upload's event says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import httpx
import pytest

from detag.domain.uploads import ignoring, other_reading, read_upload
from detag.settings import SubmitSettings
from tests.environment import settings

EVENTS = Path(__file__).parents[3] / "events"


def event() -> dict[str, Any]:
    message: dict[str, Any] = json.loads(json.loads((EVENTS / "upload.json").read_text())["Records"][0]["body"])
    return message


def test_the_recorded_event_is_read_with_its_odd_key_as_it_is() -> None:
    upload = read_upload(event())
    assert upload.key == "autumn/winter/crème + 50% off 🏷.jpg"
    assert (upload.size, upload.version_id) == (48_211, "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e")
    assert upload.uploaded_at == 1_795_426_200.0


def test_an_object_without_a_version_is_known_by_its_sequencer() -> None:
    sent = event()
    for absent in ("null", "", None):
        sent["detail"]["object"]["version-id"] = absent
        assert read_upload(sent).version_id is None


@pytest.mark.parametrize("version_id", ["null", "", None])
def test_two_uploads_of_no_version_are_two_jobs(version_id: str | None) -> None:
    first = replace(read_upload(event()), version_id=version_id, sequencer="01")
    second = replace(first, sequencer="02")
    assert first.job_id != second.job_id
    assert first.job_id == replace(first, version_id=None).job_id


@pytest.mark.parametrize("missing", ["key", "sequencer"])
def test_an_event_that_lacks_what_names_the_job_says_so(missing: str) -> None:
    sent = event()
    del sent["detail"]["object"][missing]
    with pytest.raises(ValueError, match=missing):
        read_upload(sent)


@pytest.mark.parametrize(
    "garbage", [{}, {"detail": 1}, {"detail": {"object": {}}}, {"detail": {"object": 1, "bucket": {}}}]
)
def test_what_is_no_event_says_so(garbage: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not an S3 event"):
        read_upload(garbage)


@pytest.mark.parametrize("key", ["../a.jpg", "a/../b.jpg", "./a.jpg", "a/./b.jpg", "a/..", ".", ".."])
def test_no_address_leads_to_a_name_with_a_part_of_only_dots(key: str) -> None:
    sent = event()
    sent["detail"]["object"]["key"] = key
    upload = read_upload(sent)
    assert not upload.is_addressable
    address = f"https://bucket.s3.eu-central-1.amazonaws.com/{quote(key)}"
    assert unquote(httpx.URL(address).path) != f"/{key}", "what a client makes of it"


@pytest.mark.parametrize("key", ["a..jpg", "...", "a/.../b", ".hidden", "a../b", "//a", "%2e%2e/a", "a\\..\\b"])
def test_an_address_leads_to_any_other_name(key: str) -> None:
    sent = event()
    sent["detail"]["object"]["key"] = key
    upload = read_upload(sent)
    assert upload.is_addressable
    address = f"https://bucket.s3.eu-central-1.amazonaws.com/{quote(key)}"
    assert unquote(httpx.URL(address).raw_path.decode()) == f"/{key}"


@pytest.mark.parametrize(
    ("key", "size", "is_marker"),
    [("autumn/", 0, True), ("autumn/", 9, False), ("shoe.jpg/", 9, False), ("shoe.jpg", 0, False)],
)
def test_a_folder_marker_is_empty_and_ends_in_a_slash(key: str, size: int, is_marker: bool) -> None:
    sent = event()
    sent["detail"]["object"] |= {"key": key, "size": size}
    assert read_upload(sent).is_folder_marker is is_marker


@pytest.mark.parametrize(
    ("key", "decoded"),
    [
        ("cr%C3%A8me+%2B+50%25+off.jpg", "crème + 50% off.jpg"),
        ("a+b.jpg", "a b.jpg"),
        ("plain.jpg", None),
        ("50% off.jpg", None),
        ("%ff.jpg", None),  # no UTF-8
        ("%2e%2e/a.jpg", None),  # no URL could name it
    ],
)
def test_a_key_may_have_one_other_reading(key: str, decoded: str | None) -> None:
    sent = event()
    sent["detail"]["object"]["key"] = key
    upload = read_upload(sent)
    other = other_reading(upload)
    assert (other and other.key) == decoded
    if other is not None:
        assert (other.job_id, other.version_id) == (upload.job_id, upload.version_id)
        assert other_reading(other) is None


def test_without_a_version_there_is_no_other_reading() -> None:
    """Only a version shows that what lies under the other key is the same object."""
    sent = event()
    sent["detail"]["object"] |= {"key": "a+b.jpg", "version-id": "null"}
    assert other_reading(read_upload(sent)) is None


def test_ignored_names_are_read_without_the_blanks_around_them() -> None:
    assert settings(SubmitSettings, ignored_names=" @eaDir , *.tmp,, ").ignored_names == ("@eaDir", "*.tmp")
    assert settings(SubmitSettings, ignored_names="").ignored_names == ()


IGNORED = settings(SubmitSettings).ignored_names


@pytest.mark.parametrize(
    "key",
    [
        "autumn/@eaDir/shoe.jpg/SYNOPHOTO_THUMB_XL.jpg",
        ".@__thumb/shoe.jpg",
        "autumn/.thumbnails/shoe.jpg",
        ".hidden/autumn/shoe.jpg",
        ".shoe.jpg.Xq81Kd",
        "autumn/._shoe.jpg",
        "~$shoe.jpg",
        "shoe.jpg.filepart",
        "shoe.jpg.part",
        "shoe.jpg.tmp",
        "SHOE.JPG.TMP",
        "shoe.jpg.crdownload",
        "shoe.jpg.download",
        *(f"shoe.{ending}.download/shoe.{ending}" for ending in ("jpg", "JPEG", "png", "webp", "heic", "avif")),
        *(f"shoe.{ending}.download/Info.plist" for ending in ("tif", "tiff", "zip")),
        "RecycleBin.1ab2.ffs_tmp/old/shoe.jpg",
        ".line\nbreak.jpg",
        "Thumbs.db",
        "Thumbs.db:encryptable",
        "autumn/desktop.ini",
        "__MACOSX/autumn/._shoe.jpg",
        "#recycle/shoe.jpg",
        "$RECYCLE.BIN/S-1-5-21/$R1AB2C3.jpg",
        "shoe.jpg.xmp",
        "IMG_0001.AAE",
        "PXL_20261123.MP",
        "shoe.jpg.supplemental-metadata.json",
        "shoe.jpg.partial",
        # Sync tools
        ".stfolder/marker",
        ".stversions/shoe.jpg",
        "~syncthing~shoe.jpg.tmp",
        "~syncthing~shoe.jpg",
        "shoe.jpg.!sync",
        "shoe.jpg.bts",
        "shoe.jpg.ffs_tmp",
        "sync.ffs_db",
        "sync.ffs_lock",
        # Downloads
        "shoe.jpg.opdownload",
        "shoe.jpg.temp",
        "shoe.jpg.swp",
        "shoe.jpg.icloud",
        "Previews.lrdata/1/a.lrprev",
        "shoe.jpg.bak",
        "shoe.jpg:Zone.Identifier",
        "shop.url",
        "shoe.jpg.aria2",
        "shoe.jpg.!ut",
        "shoe.jpg.cyberducksegment",
        "shoe.jpg.crswap",
        "shoe.jpg.xltd",
        "shoe.jpg.rsls",
        "001.part.met",
        "shoe.jpg.lftp-pget-status",
        # NAS boxes and systems
        "shoe.jpg@SynoEAStream",
        "shoe.jpg@SynoResource",
        "#snapshot/2026-11-23/shoe.jpg",
        "@Recently-Snapshot/daily/shoe.jpg",
        "Network Trash Folder/shoe.jpg",
        "Temporary Items/folders.501/TemporaryItems/(A Document Being Saved By Preview)/shoe.jpg",
        "Temporary Items/folders.501/Cleanup At Startup/shoe.jpg",
        "lost+found/#12",
        "RECYCLER/S-1-5-21-1004336348-1177238915-682003330-1000/Dc1.jpg",
        "shoe.jpg.lnk",
        "IndexerVolumeGuid",
        "Icon\r",
        "autumn/ICON\r",
        "autumn/Icon%0D",
        "autumn/Icon\uf00d",
        # Viewers, editors and cameras
        "Picasa.ini",
        ".picasaoriginals/shoe.jpg",
        "ZbThumbnail.info",
        "GX010001.LRV",
        "DJI_0001.LRF",
        "shoe.jpg.pp3",
        "shoe.jpg.arp",
        "shoe.NEF.dop",
        "shoe.NEF.cos",
        "CaptureOne/Cache/Proxies/shoe.NEF.cop",
        "CaptureOne/Cache/Thumbnails/shoe.NEF.cot",
        "shoe.on1",
        "NKSC_PARAM/shoe.NEF.nksc",
        "Catalog Previews.lrdata/root-pixels.db",
        "digikam4.db",
        "thumbnails-digikam.db",
        "Photo Details.csv",
        "Photo Details-1.csv",
        "MISC/M0100.CTG",
        "MISC/AUTPRINT.MRK",
        "Photo Cache/F1001_1.ithmb",
        "descript.ion",
        "NC_FLLST.DAT",
        "autumn/pspbrwse.jbf",
        "PRIVATE/SONY/SONYCARD.IND",
        "PRIVATE/M4ROOT/CLIP/C0001M01.XML",
        "PRIVATE/M4ROOT/MEDIAPRO.XML",
    ],
)
def test_a_name_of_a_tools_own_is_ignored_by_default(key: str) -> None:
    assert ignoring(IGNORED, key) is not None


@pytest.mark.parametrize(
    "key",
    [
        "shoe.jpg",
        "autumn/part/shoe.jpg",
        "tmp/shoe.jpg",
        "eaDir/shoe.jpg",
        "shoe.part.jpg",
        "~shoe.jpg",
        "a b/c..jpg",
        "IMG_0001.MOV",
        "Collection.cos/1.jpg",
        "2026/old.bak/shoe.jpg",
        "Vol.1_original/shoe.jpg",
        "client.tmp/shoe.jpg",
        "2024.11.downloads/shoe.jpg",
        "shop.com.downloads/a/shoe.jpg",
        "www.shop.download/shoe.jpg",
        "www.tiffany.download/ring.jpg",
        "product.v2.download.jpg",
        "red.shoe.downloaded.png",
        "image.jpg.download-1.jpg",
        "export.2024.download-page/shoe.jpg",
        "Recycler/bottle.jpg",
        "RECYCLER/bottle.jpg",
        "S-1-5-pack/bottle.jpg",
        "S-1-5-21-red.jpg",
        "Temporary Items/shoe.jpg",
        "thumbs.db-shoe.jpg",
        "thumbs.db.jpg",
        "photos.lrdata.jpg",
        "photos.lrdata-2/shoe.jpg",
        "Icon.jpg",
        "Icon",
        "Icon\r/shoe.jpg",
        "Icon\r.jpg",
        "ithmb/shoe.jpg",
    ],
)
def test_any_other_name_is_not(key: str) -> None:
    assert ignoring(IGNORED, key) is None


@pytest.mark.parametrize(
    ("names", "key", "found"),
    [
        ((), ".hidden", None),
        (("*.tmp", "a?b"), "a?b/c.jpg", "a?b"),
        (("a?b", "[ab]"), "axb/a.jpg", None),
        (("draft*-*",), "DRAFT of a-shoe.jpg", "draft*-*"),
        (("draft*-*",), "draft/-", None),
        (("draft/",), "DRAFT/a.jpg", "draft/"),
        (("draft/",), "draft", None),
        (("*.old/",), "a/b.old/c/d.jpg", "*.old/"),
        (("*.old/",), "a/b.old", None),
        (("*.old/",), "b.old.jpg/a.jpg", None),
    ],
)
def test_only_a_star_is_special_and_none_reaches_over_a_slash(names: tuple[str, ...], key: str, found: str) -> None:
    assert ignoring(names, key) == found


@pytest.mark.parametrize("names", [(), ("*.tmp",)])
def test_an_icon_of_a_folder_needs_no_name_to_be_ignored(names: tuple[str, ...]) -> None:
    """Its name cannot be written into the parameter; what is said of it can be printed."""
    found = ignoring(names, "autumn/Icon\r")
    assert found is not None
    assert found.isprintable()
