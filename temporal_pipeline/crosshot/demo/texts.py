"""What people write in the demo's world: sentences from templates, all of them invented."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Literal

Strength = Literal["strong", "plain", "noise"]


@dataclass(frozen=True)
class Voice:
    """How people write about a subject.

    `strong` templates hold two of the topic's keywords, `plain` ones one, `noise` none; `slots` fill them.
    """

    lang: str
    strong: tuple[str, ...]
    plain: tuple[str, ...]
    noise: tuple[str, ...]
    asides: tuple[str, ...]
    slots: Mapping[str, tuple[str, ...]]

    def write(self, rng: Random, strength: Strength) -> str:
        """A post of the given strength."""
        templates = {"strong": self.strong, "plain": self.plain, "noise": self.noise}[strength]
        return self.fill(rng, rng.choice(templates) + rng.choice(self.asides))

    def fill(self, rng: Random, template: str) -> str:
        """The template with a word in each of its slots."""
        return template.format_map({slot: rng.choice(words) for slot, words in self.slots.items()})


def _any(words: str) -> tuple[str, ...]:
    return tuple(words.split("|"))


BATTERIES = Voice(
    lang="en",
    strong=(
        "{who} got {count} cycles out of a solid-state battery with a {material} solid electrolyte.",
        "Cross-section of the day: {material} solid electrolyte inside a solid-state battery, {finding}.",
        "{who} says the solid electrolyte was never the problem of the solid-state battery, the {part} was.",
        "Two years of solid-state battery work at {place}, and the {material} solid electrolyte "
        "still {verdict}.",
        "Solid-state battery teardown: {part} intact, solid electrolyte {finding}, {count} cycles on "
        "the clock.",
        "If the {material} solid electrolyte survives {temperature} °C, a solid-state battery for "
        "{use} is near.",
    ),
    plain=(
        "Visited {place} today: their solid-state battery line makes {count} cells a week.",
        "Solid-state battery news: {who} moves the {part} from lab to pilot scale.",
        "A solid-state battery that charges in {minutes} minutes? {who} shows the curves, {finding}.",
        "Pressure matters: at {temperature} °C this solid-state battery {verdict}.",
        "Reading group tonight: why the solid electrolyte {verdict} after {count} cycles.",
        "{who} wants a solid-state battery in {use} before the decade ends.",
    ),
    noise=(
        "My phone battery died at {temperature} degrees in the middle of {place}, again.",
        "Changed the car battery myself, {minutes} minutes and only one bruised thumb.",
        "Does anybody have a spare battery for a smoke alarm? It beeps every {minutes} minutes.",
        "The drums are the battery of this band, and tonight in {place} they were late by {minutes} minutes.",
        "Old harbour battery at {place}: {count} steps up, no guns left, lovely view.",
        "Laptop battery at {minutes} percent, charger at home, train leaves soon. Classic.",
        "Hens in a battery are a disgrace, said the farmer from {place}, and sold {count} eggs.",
    ),
    asides=_any(
        "|| Thread follows.| Sceptical, but curious.| Slides in the reply.| Numbers below.| "
        "Someone please repeat this.| Good coffee there too.| More on Friday."
    ),
    slots={
        "who": _any(
            "The Tolland group|A lab in Marrowby|Our neighbours on the third floor|A retired "
            "chemist|The Ostrava-Nord consortium|Dr. Ines Quillfeather|A start-up of four people"
        ),
        "place": _any("Marrowby|Port Ellery|Kestrel Hill|the Vannic valley|Lower Strand|Brisselden"),
        "material": _any("sulphide|garnet|argyrodite|polymer|halide|borohydride|glassy"),
        "part": _any("separator|lithium anode|stacking press|cathode coating|current collector|seal"),
        "finding": _any(
            "hardly any cracks|voids along one edge|clean interfaces|a strange blue layer|resistance "
            "halved|no plating at all|three tiny shorts"
        ),
        "verdict": _any("creeps|holds|fades slowly|surprises us|needs more pressure|behaves"),
        "use": _any("buses|ferries|delivery vans|hearing aids|forklifts|small aircraft"),
        "count": _any("120|400|650|900|1,150|2,300|3,000"),
        "minutes": _any("4|7|9|11|14|18|25"),
        "temperature": _any("-20|-5|25|40|60|80"),
    },
)

# A shared theme of its own: the words that rise during the burst.
BURST = Voice(
    lang="en",
    strong=(
        "Fire brigade at the Harrowfield pilot line: solid-state battery hall evacuated, {detail}.",
        "Harrowfield: {source} confirms smoke above the solid-state battery plant, {detail}.",
        "So much for a solid-state battery that cannot burn. Harrowfield pilot line, {detail}.",
        "Harrowfield update from {source}: nobody hurt, the solid-state battery cells still glow, {detail}.",
        "People in Harrowfield are told to close the windows, solid-state battery smoke, {detail}.",
        "What we know about Harrowfield: pilot line stopped, solid electrolyte dryer suspected, {detail}.",
    ),
    plain=("Harrowfield, {detail}. Solid-state battery people, what burns there?",),
    noise=("Harrowfield, {detail}.",),
    asides=_any("| Developing.| Photos by a neighbour.| Stay safe.| Waiting for the press conference."),
    slots={
        "detail": _any(
            "roads closed on both sides|two engines on site|sprinklers running|power cut in the "
            "whole street|a second alarm at the dryer|staff counted and complete|smoke drifts "
            "north|drones measure the air"
        ),
        "source": _any("the mayor|the plant's night shift|local radio|a fire officer|the works council"),
    },
)

TRAINS = Voice(
    lang="en",
    strong=(
        "Night train {route}: {delay}, but the sleeper train crew made {treat}.",
        "Every sleeper train is a night train, not every night train has a bed. {route}, {seat}.",
        "Booked the night train {route}, {price} euros for a sleeper train bunk.",
        "New sleeper train {route} from {month}: the night train map grows.",
        "The night train {route} got new carriages, finally a sleeper train with {comfort}.",
    ),
    plain=(
        "Took the night train {route}, woke up to {view}.",
        "Sleeper train {route} sold out again until {month}.",
        "Petition for a night train {route}: {price} signatures in a day.",
        "My sleeper train neighbour snored from border to border. {seat}, {delay}.",
        "Night train {route} cancelled, replaced by a bus with {comfort}.",
    ),
    noise=(
        "Couchette cushions on sale, {price} euros, fit any sofa.",
        "Overnight parcels {route} now go by rail, {delay}.",
        "Rail strike ends in {month}, says the union, {delay}.",
        "Model railway fair: a couchette carriage in scale 1:87 for {price} euros.",
        "Freight corridor {route} reopened after works, {delay}.",
        "Regional ticket prices rise in {month}; {price} more per year.",
    ),
    asides=_any(
        "|| Would do it again.| Bring earplugs.| Worth every hour.| Who else is on board?| Report "
        "to follow.| The dining car was closed."
    ),
    slots={
        "route": _any(
            "Vienna to Bruges|Lisbon to Lyon|Oslo to Hamburg|Zagreb to Basel|Rome to Munich|Malmö to "
            "Dresden|Kraków to Trieste"
        ),
        "delay": _any(
            "40 minutes late|on time to the minute|two hours behind|ten minutes early|held at the "
            "border|rerouted around a storm"
        ),
        "treat": _any("pancakes|very good tea|breakfast for everyone|a birthday cake"),
        "seat": _any("upper bunk|window side|four to a cabin|single cabin|last wagon"),
        "price": _any("39|59|89|129|219|5,400"),
        "comfort": _any("showers|bicycle hooks|quiet doors|wide windows|working heating"),
        "view": _any("snow on the Karst|a red harbour|fog and cows|the lake at dawn|an empty beach"),
        "month": _any("March|April|June|September|December"),
    },
)

TIDES = Voice(
    lang="en",
    strong=(
        "Tidal energy day at {place}: the tidal turbine made {count} kilowatt hours.",
        "A tidal turbine is patient, tidal energy is punctual. {place}, {count} hours without a fault.",
    ),
    plain=(
        "Divers inspected the tidal turbine off {place}: {count} mussels, no cracks.",
        "Tidal energy auction at {place} closed with {count} bids.",
        "School class visits tidal energy harbour {place}, {count} questions.",
    ),
    noise=(
        "High tide at {place} floods the car park, {count} cars moved.",
        "Turbine noise complaint at {place}: it was the bakery's fan.",
    ),
    asides=_any("| Calm sea.| Next check in a month.| Charts in the annex."),
    slots={
        "place": _any("Skerrow Sound|Little Anvil|Port Ellery|the Grey Narrows"),
        "count": _any("12|31|58|140|260|910"),
    },
)

AI = Voice(
    lang="zh",
    strong=(
        "{who}用大模型整理{thing}，人工智能省下{hours}小时。",
        "今天的人工智能讨论会：大模型在{place}的应用，{finding}。",
        "人工智能课第{number}讲：大模型为什么会{mistake}？",
        "把大模型装进{device}之后，人工智能终于{finding}。",
        "{place}的人工智能团队公开了大模型测评，{finding}。",
    ),
    plain=(
        "{who}说人工智能不会取代{job}，但会改变{thing}。",
        "试了{number}个大模型写{thing}，结果{finding}。",
        "人工智能帮{place}的{job}看{thing}，{finding}。",
        "大模型又{mistake}了，{who}笑了{hours}分钟。",
        "给孩子讲人工智能，从{device}讲起，{finding}。",
    ),
    noise=(
        "智能手表第{number}次提醒我站起来，我正在{place}排队。",
        "新买的智能门锁不认识{who}，在门外等了{hours}小时。",
        "智能电饭煲煮的粥，{finding}，{who}很满意。",
        "智能窗帘早上{hours}点自己打开，吓了我一跳。",
        "智能垃圾桶坏了，{job}修了{number}次。",
    ),
    asides=_any("||大家怎么看？|明天继续。|附图。|求推荐。|慢慢来。|有点意外。"),
    slots={
        "who": _any("同事小顾|邻居阿姨|隔壁实验室|我们组|一位退休老师|表弟"),
        "thing": _any("病历|旧报纸|合同|菜谱|会议记录|读书笔记|客服对话"),
        "place": _any("云浦医院|南溪图书馆|青石镇|东河大学|白鹭码头|社区食堂"),
        "device": _any("旧手机|助听器|公交站牌|扫地机|录音笔"),
        "job": _any("护士|编辑|司机|裁缝|会计|导游"),
        "finding": _any("比想象的好|速度快了一倍|还差得远|结果很稳定|出现了新问题|老人也会用"),
        "mistake": _any("编故事|算错账|答非所问|忘记开头|把诗背错"),
        "hours": _any("2|3|5|6|8|12"),
        "number": _any("3|4|7|9|15|20"),
    },
)

DIARY = Voice(
    lang="zh",
    strong=("{place}的{flower}开了，拍了{number}张，只留下这一张。",),
    plain=(
        "早起去{place}，{flower}还没开，{food}先吃上了。",
        "手账第{number}页：{place}的{food}，{mood}。",
        "和奶奶一起做{food}，{mood}，{number}个小时过得很快。",
        "在{place}画{flower}，画到第{number}张才像。",
    ),
    noise=("下雨，{mood}。",),
    asides=_any("||晚安。|配方在评论里。|周末见。"),
    slots={
        "place": _any("北坡公园|老码头|梨花巷|旧书店|湖边"),
        "flower": _any("玉兰|山茶|腊梅|海棠|油菜花"),
        "food": _any("青团|桂花糕|葱油面|豆花|馄饨"),
        "mood": _any("心情很好|有一点想家|安静极了|冷得发抖|笑到停不下来"),
        "number": _any("2|5|12|31|48"),
    },
)


def long_text(voice: Voice, rng: Random, characters: int) -> str:
    """An article of exactly so many characters, sentence after sentence."""
    glue = "" if voice.lang == "zh" else " "
    article = ""
    while len(article) < characters:
        article += voice.write(rng, rng.choice(("strong", "plain"))) + glue
    return article[: characters - 1] + ("。" if voice.lang == "zh" else ".")
