"""`loa keys`: the ceremonies with keys of authority (docs/keys.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loa.cli.options import ConfigOption, DataDirOption, YesOption, core_settings

keys = typer.Typer(
    name="keys",
    help="Nghi thức với khóa ký: xem docs/keys.md. · Ceremonies with the signing keys: see docs/keys.md.",
    no_args_is_help=True,
)

RootOption = Annotated[
    Path | None,
    typer.Option("--root", help="Khóa gốc, dùng tại chỗ, không chép vào đây · The root key, used where it is."),
]
PassphraseOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file", help="Tệp (0600) chứa mật khẩu · A file (0600) with it; else it is asked for."
    ),
]
CodesOption = Annotated[
    Path | None,
    typer.Option("--codes", help="Tệp CSV mới cho các mã đăng ký · A new CSV file for the enrolment codes."),
]
ValidOption = Annotated[
    int,
    typer.Option("--valid-days", min=1, max=365, help="Mã có giá trị bao nhiêu ngày · How long a code is good."),
]
RequestOption = Annotated[
    Path | None,
    typer.Option(
        "--request", help="Khóa gốc ở nơi khác: ghi yêu cầu ra tệp này · The root is elsewhere: ask here."
    ),
]
GrantOption = Annotated[
    Path | None, typer.Option("--grant", help="Tệp trả lời cho yêu cầu đó · The answer of loa keys sign to it.")
]
RootFingerprintOption = Annotated[
    str | None,
    typer.Option("--root-fingerprint", help="Dấu vân tay khóa gốc, lần đầu · The root's, for the first time."),
]


@keys.command()
def show(
    as_json: Annotated[bool, typer.Option("--json", help="Cho máy đọc · For programs.")] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Khóa đang thế nào, và việc tiếp theo. · How the keys stand, and what is to be done next."""
    from loa.app.ceremonies.show import show

    show(core_settings(config, data_dir), as_json=as_json)


@keys.command()
def create_root(
    folder: Annotated[Path, typer.Argument(help="Thư mục mới, ở máy ngoại tuyến · A new folder, offline.")],
) -> None:
    """Tạo khóa gốc, ở máy ngoại tuyến. · Make the root key, on an offline machine."""
    from loa.app.ceremonies import exchange

    exchange.create_root(folder)


@keys.command()
def request(
    out: Annotated[Path, typer.Option("--out", help="Tệp yêu cầu · The request file.")],
    renew: Annotated[
        bool, typer.Option("--renew", help="Giữ khóa lệnh, chỉ gia hạn · Keep the order key, only renew.")
    ] = False,
    revoke: Annotated[
        list[str] | None,
        typer.Option("--revoke", help="Mã khóa cần thu hồi · A key id to revoke; may be repeated."),
    ] = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Yêu cầu danh sách khóa cho máy này. · Ask for a key list for this core."""
    from loa.app.ceremonies import exchange

    exchange.request(core_settings(config, data_dir), out, renew=renew, revoke=revoke or ())


@keys.command()
def sign(
    request: Annotated[Path, typer.Argument(help="Tệp yêu cầu từ máy chủ · The core's request file.")],
    root: Annotated[Path, typer.Option("--root", help="Thư mục của khóa gốc · The root key's folder.")],
    out: Annotated[Path, typer.Option("--out", help="Tệp trả lời · The answer, for loa keys install.")],
    fingerprint: Annotated[
        str | None,
        typer.Option("--fingerprint", help="Dấu vân tay đọc từ máy chủ · As read from the core's screen."),
    ] = None,
    at_least: Annotated[
        int,
        typer.Option("--at-least", min=1, help="Phiên bản nhỏ nhất, khi đã mất danh sách cũ · The least version."),
    ] = 1,
    revoke_others: Annotated[
        bool,
        typer.Option("--revoke-others", help="Thu hồi mọi khóa lệnh khác · Revoke every other order key."),
    ] = False,
) -> None:
    """Ký danh sách khóa, ở máy giữ khóa gốc. · Sign a key list, where the root key is."""
    from loa.app.ceremonies import exchange

    exchange.sign(request, root, out, fingerprint=fingerprint, at_least=at_least, revoke_others=revoke_others)


@keys.command()
def install(
    grant: Annotated[Path, typer.Argument(help="Tệp trả lời từ máy giữ khóa gốc · The answer of loa keys sign.")],
    root_fingerprint: RootFingerprintOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Nhận danh sách khóa đã ký vào máy này. · Take a signed key list into this core."""
    from loa.app.ceremonies import exchange

    exchange.install(core_settings(config, data_dir), grant, root_fingerprint)


@keys.command()
def renew(root: RootOption = None, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Gia hạn danh sách khóa, khóa lệnh giữ nguyên. · Issue the key list anew, with the same order key."""
    from loa.app.ceremonies import order_keys

    order_keys.renew(core_settings(config, data_dir), root)


@keys.command()
def rotate(root: RootOption = None, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Đổi khóa lệnh; khóa cũ còn giá trị 14 ngày. · A new order key; the old one stays good for 14 days."""
    from loa.app.ceremonies import order_keys

    order_keys.rotate(core_settings(config, data_dir), root)


@keys.command()
def revoke(
    key_id: Annotated[
        str, typer.Argument(help="Mã khóa, 16 chữ số hex, xem loa keys show · The key's id, 16 hex digits.")
    ],
    root: RootOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Thu hồi một khóa lệnh hay chứng thư, ngay lập tức. · Revoke an order key or a certificate, at once."""
    from loa.app.ceremonies import order_keys

    order_keys.revoke(core_settings(config, data_dir), root, key_id)


@keys.command()
def take_root_away(
    places: Annotated[
        list[Path], typer.Argument(help="Nơi cất, nên hai nơi · Where to, better two places: folders or new files.")
    ],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Cất khóa gốc khỏi máy chủ, sau khi đã sao và đọc lại. · Take the root key off the core, once it is copied."""
    from loa.app.ceremonies import root_key

    root_key.take_away(core_settings(config, data_dir), places)


@keys.command()
def bring_root_back(
    source: Annotated[Path, typer.Argument(help="Tệp hoặc thư mục của khóa gốc · The key's file or folder.")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Đưa khóa gốc về máy chủ cho một việc, rồi lại cất đi. · Bring the root key back to the core, for a while."""
    from loa.app.ceremonies import root_key

    root_key.bring_back(core_settings(config, data_dir), source)


@keys.command()
def export(
    out: Annotated[Path, typer.Argument(help="Tệp mới để in ra giấy, hoặc - · A new file to be printed, or -.")],
    root: RootOption = None,
    passphrase_file: PassphraseOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Sao khóa gốc ra giấy, dưới mật khẩu. · The root key on paper, under a passphrase."""
    from loa.app.ceremonies import root_key

    root_key.export(core_settings(config, data_dir), out, root, passphrase_file)


@keys.command("import")
def import_(
    source: Annotated[
        Path, typer.Argument(help="Tệp bản sao, hoặc - để gõ từ giấy · The backup, or - to type it.")
    ],
    to: Annotated[
        Path | None, typer.Option("--to", help="Thư mục cho khóa gốc; nếu không, của máy chủ · Else the core's.")
    ] = None,
    passphrase_file: PassphraseOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Lấy khóa gốc từ bản sao trên giấy. · The root key back from its paper."""
    from loa.app.ceremonies import root_key

    root_key.import_(core_settings(config, data_dir), source, to, passphrase_file)


@keys.command()
def replace_root(
    codes: CodesOption = None,
    valid_days: ValidOption = 30,
    request: RequestOption = None,
    grant: GrantOption = None,
    root_fingerprint: RootFingerprintOption = None,
    yes: YesOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Khóa gốc đã mất: khóa gốc mới, mọi loa đăng ký lại. · The root is lost: a new one, devices enrol again."""
    from loa.app.ceremonies import root_lost

    core = core_settings(config, data_dir)
    if request is not None:
        root_lost.ask_new_root(core, request)
        return
    root_lost.replace_root(
        core, codes=codes, valid_days=valid_days, grant=grant, root_fingerprint=root_fingerprint, yes=yes
    )


@keys.command()
def enrol_again(
    codes: CodesOption = None,
    list_to: Annotated[
        Path | None,
        typer.Option("--list", help="Chỉ ghi danh sách thiết bị, không tạo mã · Only list the devices."),
    ] = None,
    valid_days: ValidOption = 30,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Sau khi thay khóa gốc: ai phải đăng ký lại, và mã mới. · After a replaced root: who, and new codes."""
    from loa.app.ceremonies import root_lost

    root_lost.enrol_again(core_settings(config, data_dir), codes=codes, list_to=list_to, valid_days=valid_days)


@keys.command()
def core_compromised(
    root: RootOption = None,
    request: RequestOption = None,
    grant: GrantOption = None,
    root_fingerprint: RootFingerprintOption = None,
    yes: YesOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Máy chủ bị xâm nhập: mọi khóa và mã cũ thành vô dụng. · The core is compromised: shut everybody out of it."""
    from loa.app.ceremonies import core_compromised

    core_compromised.core_compromised(
        core_settings(config, data_dir),
        root=root,
        request=request,
        grant=grant,
        root_fingerprint=root_fingerprint,
        yes=yes,
    )


@keys.command()
def drill() -> None:
    """Tập dượt các nghi thức, với khóa thử. · Practise the ceremonies, with keys that are thrown away."""
    from loa.app.ceremonies.practice import drill

    if not drill():
        raise typer.Exit(1)
