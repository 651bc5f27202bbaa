"""What Whisper is known to write down without hearing it, by language; small on purpose."""

from collections.abc import Mapping

# Credits of the subtitles it was trained on: nobody says them, so the beginning of the text decides.
CREDITS: Mapping[str, tuple[str, ...]] = {
    "de": ("Untertitel der Amara.org-Community", "Untertitelung des ZDF", "Untertitel im Auftrag des ZDF"),
    "en": ("Subtitles by the Amara.org community", "Transcription by CastingWords", "Transcribed by https"),
    "es": ("Subtítulos realizados por la comunidad de Amara.org", "Subtítulos por la comunidad de Amara.org"),
    "fr": ("Sous-titres réalisés par la communauté d'Amara.org", "Sous-titres réalisés para la communauté d'Amara.org",
           "Sous-titrage Société Radio-Canada", "Sous-titrage ST' 501"),
    "it": ("Sottotitoli creati dalla comunità Amara.org", "Sottotitoli e revisione a cura di QTSS"),
    "nl": ("Ondertitels ingediend door de Amara.org gemeenschap", "TV GELDERLAND", "Ondertiteld door"),
    "pl": ("Napisy stworzone przez społeczność Amara.org",),
    "pt": ("Legendas pela comunidade Amara.org",),
    "ru": ("Субтитры сделал DimaTorzok", "Субтитры создавал DimaTorzok", "Редактор субтитров"),
    "tr": ("Altyazı M.K.",),
    "zh": ("字幕由Amara.org社区提供", "字幕由Amara.org社區提供"),
}  # fmt: skip

# Ends of videos: people go on after such words, so they count only where little more is said.
SIGN_OFFS: Mapping[str, tuple[str, ...]] = {
    "de": ("Vielen Dank fürs Zuschauen",),
    "en": ("Thanks for watching", "Thank you for watching", "Please subscribe to"),
    "es": ("Gracias por ver el video", "Suscríbete al canal"),
    "fr": ("Merci d'avoir regardé cette vidéo",),
    "ja": ("ご視聴ありがとうございました", "チャンネル登録お願いします"),
    "ko": ("시청해주셔서 감사합니다", "구독과 좋아요"),
    "pl": ("Dziękuję za uwagę i zapraszam",),
    "pt": ("Obrigado por assistir",),
    "ru": ("Спасибо за просмотр",),
    "tr": ("İzlediğiniz için teşekkürler",),
    "zh": ("谢谢观看", "謝謝觀看", "请不吝点赞", "請不吝點贊"),
}  # fmt: skip

# People say these too: they count as invented only when they are the whole text and the model's figures are doubtful.
POLITE_ENDINGS: Mapping[str, tuple[str, ...]] = {
    "de": ("Vielen Dank", "Danke", "Tschüss"),
    "en": ("Thank you", "Thank you very much", "Thanks", "Bye", "Bye bye", "You", "Okay"),
    "es": ("Gracias", "Adiós"),
    "fr": ("Merci", "Au revoir"),
    "it": ("Grazie", "Ciao"),
    "ja": ("ありがとうございました", "おやすみなさい"),
    "ko": ("감사합니다",),
    "pt": ("Obrigado", "Tchau"),
    "ru": ("Спасибо", "Продолжение следует"),
    "zh": ("谢谢", "謝謝"),
}  # fmt: skip

FILLERS: Mapping[str, frozenset[str]] = {
    "de": frozenset({"äh", "ähm", "hm", "hmm", "mhm", "öhm"}),
    "en": frozenset({"uh", "uhh", "uhm", "um", "umm", "er", "erm", "hm", "hmm", "mhm", "mm", "mmm"}),
    "es": frozenset({"eh", "em", "hm", "mmm"}),
    "fr": frozenset({"euh", "heu", "hum", "hm", "mmh"}),
    "it": frozenset({"ehm", "mmm", "uhm"}),
    "nl": frozenset({"eh", "ehm", "uh", "uhm", "hmm"}),
    "pt": frozenset({"hum", "hmm", "ahn"}),
    "ru": frozenset({"э", "эм", "ээ", "мм", "ммм"}),
}
