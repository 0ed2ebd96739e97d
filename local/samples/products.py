"""The products, drawn in the design space of `paint`. Each function paints one into a scene."""

from __future__ import annotations

import numpy as np

from local.samples.paint import Colour, Scene, oval, path

WHITE: Colour = (255, 255, 255)


def mug(scene: Scene, colour: Colour = (52, 98, 168)) -> None:
    """A stoneware mug with its handle to the right."""
    left, right, top, bottom = 270, 650, 290, 770
    scene.shadow(scene.ellipse(490, 772, 240, 34), 60, 6, 26, 0.45)
    handle = scene.line(path("640,390 760,380 810,470 790,590 640,660"), 46)
    scene.body(handle, colour, 0.5 + 0.6 * scene.round_light(620, 850, 0.5))
    scene.gleam(handle, scene.line(path("660,378 760,372 800,450"), 8), 5, 0.35)
    body = scene.polygon(
        [
            (left, top),
            (right, top),
            (right - 6, bottom - 40),
            *oval(460, bottom - 40, 184, 44, 0, 180),
            (left + 6, bottom - 40),
        ]
    )
    light = scene.round_light(left, right)
    scene.body(body, colour, light)
    scene.gleam(body, scene.rounded(335, 360, 362, 660, 12), 12, 0.4)
    rim = scene.ellipse(460, top, 190, 40)
    scene.body(rim, (232, 226, 214), 0.9 + 0.12 * light)
    inside = scene.ellipse(460, top + 4, 172, 32)
    scene.body(inside, (200, 192, 178), 0.55 + 0.4 * (scene.y - 250) / 80)
    scene.body(scene.ellipse(460, top + 12, 158, 22) * inside, (86, 52, 34), 0.9)


def teapot(scene: Scene, colour: Colour = (196, 88, 66)) -> None:
    """A round teapot with a spout to the left."""
    scene.shadow(scene.ellipse(500, 762, 270, 30), 40, 6, 26, 0.45)
    handle = scene.line(path("690,430 830,420 860,540 800,640 690,660"), 38)
    scene.body(handle, (70, 46, 36), 0.6 + 0.5 * scene.round_light(680, 880, 0.4))
    spout = scene.curve(path("330,560 240,520 190,420 140,390 150,365 215,375 270,440 350,470"))
    scene.body(spout, colour, scene.round_light(120, 380, 0.55))
    body = scene.curve(path("500,335 650,380 735,520 700,690 600,762 400,762 300,690 265,520 350,380"))
    scene.body(body, colour, scene.ball_light(500, 560, 300))
    scene.gleam(body, scene.ellipse(390, 470, 34, 70), 26, 0.55)
    lid = scene.curve(path("500,300 590,320 640,372 500,396 360,372 410,320"))
    scene.shadow(lid * body, 0, 10, 8, 0.3)
    scene.body(lid, colour, 0.12 + scene.ball_light(500, 360, 170))
    scene.body(scene.ellipse(500, 285, 34, 30), (70, 46, 36), scene.ball_light(500, 285, 34))


def sneaker(scene: Scene, colour: Colour = (64, 138, 116)) -> None:
    """A running shoe seen from its side, toe to the right."""
    scene.shadow(scene.ellipse(500, 736, 410, 26), 0, 10, 22, 0.5)
    upper = scene.curve(
        path(
            "140,640 128,520 150,410 210,372 300,396 360,420 440,400 "
            "560,480 690,545 810,572 885,620 900,670 700,690 400,690 180,684"
        )
    )
    scene.body(upper, colour, 0.72 + 0.45 * np.clip((680 - scene.y) / 320, 0, 1))
    opening = scene.curve(path("176,412 214,384 300,404 362,430 330,452 240,448"))
    scene.body(opening * upper, (36, 52, 50), 1.0)
    heel = scene.curve(path("132,640 126,520 148,440 196,470 212,600 200,676")) * upper
    scene.body(heel, (38, 78, 72), 1.05)
    toe = scene.curve(path("760,560 890,610 905,690 740,690 716,630")) * upper
    scene.body(toe, (48, 104, 92), 0.85 + 0.3 * np.clip((690 - scene.y) / 120, 0, 1))
    for at in range(5):
        x, y = 418 + at * 52, 428 + at * 34
        scene.shadow(scene.line([(x - 34, y + 34), (x + 34, y - 18)], 15), 3, 6, 4, 0.3)
        scene.fill(scene.line([(x - 34, y + 34), (x + 34, y - 18)], 14), (244, 242, 234))
    sole = scene.curve(path("116,660 300,676 600,682 880,660 916,690 890,738 600,748 200,746 118,722"))
    scene.body(sole, (238, 236, 228), 0.82 + 0.2 * np.clip((742 - scene.y) / 70, 0, 1))
    scene.fill(scene.line(path("130,712 400,722 700,722 900,700"), 7), (182, 180, 172))


def handbag(scene: Scene, colour: Colour = (150, 78, 52)) -> None:
    """A leather handbag with two handles."""
    scene.shadow(scene.ellipse(500, 808, 330, 28), 20, 8, 26, 0.5)
    for lift, shade in ((0, 0.62), (26, 0.95)):
        handle = scene.line(
            [(352, 440 + lift), (372, 240 + lift), (500, 176 + lift), (628, 240 + lift), (648, 440 + lift)], 24
        )
        scene.body(handle, colour, shade)
    body = scene.curve(
        path("232,420 360,404 500,400 640,404 768,420 806,600 826,790 660,812 500,816 340,812 174,790 194,600")
    )
    scene.body(body, colour, 0.72 + 0.4 * np.exp(-(((scene.x - 420) / 260) ** 2)))
    flap = scene.curve(path("228,424 500,396 772,424 776,520 690,590 500,614 310,590 224,520"))
    scene.shadow(flap * body, 0, 14, 12, 0.35)
    scene.body(flap, colour, 0.84 + 0.36 * np.exp(-(((scene.x - 420) / 240) ** 2 + ((scene.y - 450) / 160) ** 2)))
    edge = path("244,520 320,578 500,598 680,578 756,520")
    scene.fill(scene.line(edge, 4), (222, 172, 128), 0.8)
    scene.body(scene.rounded(462, 560, 538, 640, 14), (226, 190, 96), scene.round_light(462, 538))
    scene.body(scene.ellipse(500, 604, 13, 13), (120, 92, 40), 1.0)


def perfume(scene: Scene, colour: Colour = (214, 148, 162)) -> None:
    """A square bottle of perfume."""
    scene.shadow(scene.ellipse(500, 800, 220, 26), 40, 6, 24, 0.45)
    glass = scene.rounded(300, 380, 700, 804, 54)
    scene.body(glass, (226, 214, 220), scene.round_light(280, 720, 0.3))
    liquid = scene.rounded(326, 468, 674, 780, 36)
    scene.body(liquid, colour, 0.1 + scene.round_light(300, 700, 0.36) + 0.12 * (scene.y - 620) / 320)
    scene.gleam(glass, scene.rounded(336, 410, 362, 760, 12), 9, 0.6)
    scene.gleam(glass, scene.rounded(652, 430, 662, 760, 5), 5, 0.45)
    scene.body(scene.rounded(430, 330, 570, 384, 8), (206, 172, 108), scene.round_light(430, 570))
    cap = scene.rounded(408, 190, 592, 338, 18)
    scene.body(cap, (58, 54, 66), 0.25 + scene.round_light(408, 592))
    scene.gleam(cap, scene.rounded(436, 204, 456, 326, 8), 8, 0.35)


def shirt(scene: Scene, colour: Colour = (92, 150, 190)) -> None:
    """A folded-out T-shirt, seen from above."""
    outline = path(
        "392,196 450,214 500,220 550,214 608,196 720,236 800,300 872,430 760,496 712,440 "
        "706,620 712,850 500,862 288,850 294,620 288,440 240,496 128,430 200,300 280,236"
    )
    body = scene.polygon(outline)
    scene.shadow(body, 8, 14, 18, 0.4)
    fold = sum(
        amount * np.exp(-(((scene.x - x - slope * (scene.y - 500)) / wide) ** 2))
        for amount, x, slope, wide in (
            (-0.1, 330, 0.1, 26),
            (0.07, 372, 0.1, 30),
            (-0.07, 640, -0.12, 24),
            (0.06, 606, -0.12, 30),
        )
    )
    scene.body(body, colour, (0.97 + fold - 0.1 * np.abs(scene.x - 500) / 400))
    for shoulder in (path("292,250 296,350 290,440"), path("708,250 704,350 710,440")):
        scene.darken(scene.soft(scene.line(shoulder, 6), 3) * body, 0.3)
    collar = scene.polygon(
        [(392, 196), (450, 214), (500, 220), (550, 214), (608, 196), *oval(500, 200, 112, 86, 2, 178)]
    )
    scene.body(collar, colour, 0.78)
    scene.body(scene.polygon([(410, 200), (500, 222), (590, 200), *oval(500, 200, 92, 58, 2, 178)]), (58, 96, 124), 0.9)


def lamp(scene: Scene, colour: Colour = (236, 206, 150)) -> None:
    """A table lamp, switched on."""
    scene.fill(scene.soft(scene.ellipse(500, 360, 330, 300), 110), (255, 226, 160), 0.55)
    scene.shadow(scene.ellipse(500, 822, 180, 22), 20, 6, 20, 0.5)
    scene.body(scene.rounded(484, 470, 516, 800, 10), (176, 140, 84), scene.round_light(484, 516))
    foot = scene.polygon([(380, 800), *oval(500, 800, 130, 16, 180, 360), (630, 806), *oval(500, 812, 132, 22, 0, 180)])
    scene.body(foot, (168, 130, 76), scene.round_light(360, 640))
    ball = scene.ellipse(500, 690, 78, 84)
    scene.body(ball, (70, 116, 122), scene.ball_light(500, 690, 90))
    shade = scene.polygon([(386, 190), (614, 190), (742, 494), *oval(500, 494, 242, 34, 0, 180), (258, 494)])
    glow = 0.98 + 0.16 * np.exp(-(((scene.x - 500) / 170) ** 2 + ((scene.y - 400) / 170) ** 2))
    scene.body(shade, colour, glow.astype(np.float32))
    scene.body(scene.ellipse(500, 190, 114, 15), (255, 240, 200), 1.0)


def vase(scene: Scene, colour: Colour = (74, 128, 124)) -> None:
    """A glazed vase with three twigs."""
    scene.shadow(scene.ellipse(500, 816, 170, 26), 50, 6, 24, 0.45)
    twigs = (path("496,330 440,220 400,90"), path("504,330 510,210 548,70"), path("508,330 580,240 650,150"))
    for twig in twigs:
        scene.fill(scene.line(twig, 7), (96, 74, 52))
        for step, (x, y) in enumerate(np.linspace(twig[1], twig[2], 5)):
            side = 16 if step % 2 else -16
            scene.body(
                scene.ellipse(float(x) + side, float(y), 17, 24),
                (232, 158, 130),
                scene.ball_light(float(x), float(y), 24),
            )
    body = scene.curve(
        path("452,320 462,400 380,500 330,620 372,770 430,824 570,824 628,770 670,620 620,500 538,400 548,320")
    )
    scene.body(body, colour, 0.05 + scene.round_light(330, 670, 0.32))
    drip = scene.curve(path("452,320 462,400 400,478 450,520 500,486 560,530 600,478 538,400 548,320")) * body
    scene.body(drip, (226, 216, 196), scene.round_light(380, 620, 0.34))
    scene.body(scene.ellipse(500, 322, 50, 13), (40, 58, 56), 1.0)


def cushion(scene: Scene, colour: Colour = (196, 160, 92)) -> None:
    """A square cushion with piping."""
    outline = path(
        "196,236 350,262 500,268 650,262 804,236 778,380 772,500 778,640 "
        "806,786 650,758 500,752 350,758 194,786 222,640 228,500 222,380"
    )
    body = scene.curve(outline)
    scene.shadow(body, 14, 24, 26, 0.45)
    light = 1.1 - 0.34 * (((scene.x - 430) / 380) ** 2 + ((scene.y - 440) / 380) ** 2)
    scene.body(body, colour, light.clip(0.6, 1.15))
    weave = (0.5 + 0.5 * np.sin(scene.y * 0.9)) * (0.5 + 0.5 * np.sin(scene.x * 0.9))
    scene.darken((weave * body), 0.05)
    inner = scene.soft(body, 16)
    scene.darken((body * (1 - np.clip((inner - 0.5) * 2, 0, 1))), 0.22)


def jar(scene: Scene, colour: Colour = (176, 96, 34)) -> None:
    """A jar of honey."""
    scene.shadow(scene.ellipse(500, 812, 230, 28), 50, 6, 24, 0.45)
    body = scene.rounded(286, 336, 714, 820, 70)
    scene.body(body, colour, 0.1 + scene.round_light(286, 714, 0.34))
    scene.darken((body * np.clip((scene.y - 640) / 300, 0, 1)), 0.35)
    scene.fill(scene.rounded(306, 340, 694, 386, 20) * body, (244, 206, 140), 0.45)
    scene.gleam(body, scene.rounded(330, 400, 356, 760, 12), 10, 0.5)
    lid = scene.rounded(300, 214, 700, 340, 22)
    scene.shadow(lid * body, 0, 8, 8, 0.4)
    scene.body(lid, (112, 42, 44), 0.15 + scene.round_light(300, 700))
    for x in range(312, 700, 14):
        scene.darken(scene.rounded(x, 262, x + 5, 338, 2), 0.16)


def headphones(scene: Scene, colour: Colour = (58, 62, 84)) -> None:
    """Headphones standing on their cups."""
    scene.shadow(scene.ellipse(500, 806, 300, 24), 20, 6, 24, 0.45)
    band = scene.line(oval(500, 520, 250, 330, 180, 360), 52)
    scene.body(band, colour, 0.75 + 0.5 * np.clip((520 - scene.y) / 340, 0, 1))
    pad = scene.line(oval(500, 524, 228, 306, 215, 325), 22)
    scene.body(pad, (196, 120, 92), 1.0)
    for x, side in ((256, 1), (744, -1)):
        ear = scene.ellipse(x + 42 * side, 630, 62, 158)
        scene.body(ear, (196, 120, 92), 0.9 * scene.round_light(x - 60, x + 120, 0.4))
        cup = scene.ellipse(x, 630, 92, 172)
        scene.body(cup, colour, 0.15 + scene.ball_light(x, 600, 190))
        scene.gleam(cup, scene.ellipse(x - 30, 540, 16, 50), 14, 0.4)


def notebook(scene: Scene, colour: Colour = (58, 84, 74)) -> None:
    """A cloth-bound notebook with a ribbon, seen from above."""
    cover = scene.rounded(262, 180, 744, 830, 20)
    scene.shadow(cover, 16, 22, 24, 0.5)
    scene.body(scene.rounded(274, 190, 756, 838, 18), (240, 234, 220), 0.95)
    scene.body(cover, colour, (1.06 - 0.2 * (scene.x - 262) / 480))
    scene.darken(scene.soft(scene.rounded(316, 180, 324, 830, 3), 4), 0.35)
    scene.body(scene.rounded(640, 160, 664, 850, 4), (186, 70, 62), 1.0)
    scene.fill(scene.ellipse(500, 330, 46, 46), (214, 186, 120), 0.9)
    scene.body(scene.ellipse(500, 330, 36, 36), colour, 1.0)
