"""Phrases with which responses in ten languages state a final answer: data of the extraction, no logic."""

import re
from typing import NamedTuple


class Phrases(NamedTuple):
    """How one language states an answer. Each field is an alternation of regular expressions."""

    noun: str
    """Names of an answer: "answer", "result"."""
    verb: str
    """Between the name and the value: "is", "equals"."""
    after: str
    """After a value: "is the answer"."""
    choose: str
    """Before an option's letter: "I choose"."""
    right: str
    """After an option's letter: "is correct"."""
    end: str = "(?!)"
    """Ends a sentence after its value: a copula at the end, as in Japanese."""


DIRECT = r"(?=\s?[\d$\\(])"
"""No verb: a number or a formula follows the name of the answer."""
LANGUAGES = {
    "English": Phrases(
        r"answers?|results?|solutions?|choices?|options?|letters?|ans",
        r"is|are|was|equals?|reads|becomes|(?:must|should|would|will|can|could|has to|have to|ought to) (?:only )?"
        r"(?:be|equal)|(?:comes?|came|works?|turns?) out (?:to be|to|as|at)",
        r"(?:is|are|must be|would be|gives) (?:then |thus |therefore |hence |indeed )?(?:the|our|my|your|an?) "
        r"(?:[a-z]+ ){0,2}(?:answers?|results?|solutions?|value)|(?:as|for) (?:the|our|my|your) (?:[a-z]+ ){0,2}"
        r"(?:answer|result|solution)",
        r"(?:choose|pick|select|picked|chose|selected|go(?:ing)? with|opt(?:ing)? for|vote for|settle on|say"
        r"|leav(?:es|ing))"
        r"(?: the)?(?: option| choice| answer| letter)?|it(?:'s| is| must be| has to be)(?: option)?",
        r"(?:is|must be|would be|should be|seems|has to be|looks)(?: indeed| clearly| therefore| thus| then)?(?: the)?"
        r"(?: only| most| single)?(?: one)? (?:correct|right|best|true|valid|appropriate|answer|solution|choice)",
    ),
    "French": Phrases(
        r"réponses?|résultats?|solutions?|choix|option",
        r"est|sont|vaut|serait|doit être|égale(?: à)?",
        r"est (?:donc )?(?:la|le|notre) (?:[a-zé]+ ){0,2}(?:réponse|résultat|solution)",
        r"(?:je choisis|je sélectionne|nous choisissons|on choisit|choisir)(?: la réponse| l'option)?|lettre",
        r"est (?:donc )?(?:la (?:bonne |seule )?(?:réponse|option)|correcte?|le bon choix|juste|vraie?)",
    ),
    "German": Phrases(
        r"antwort(?:en)?|lösung(?:en)?|(?:end)?ergebnis|resultat|option",
        r"ist|sind|lautet|lauten|beträgt|wäre|muss (?=[^.]{1,20} (?:sein|lauten))",
        r"ist (?:also |somit |daher )?(?:die|das|unsere) (?:[a-zäöüß]+ ){0,2}(?:antwort|lösung|ergebnis|resultat)",
        r"(?:ich wähle|wir wählen|ich nehme|man wählt)(?: die)?(?: option| antwort)?",
        r"ist (?:also |somit )?(?:die )?(?:richtige?|korrekte?|beste|wahr)",
        r"\s(?:sein|lauten)",
    ),
    "Spanish": Phrases(
        r"respuestas?|resultados?|solución|soluciones|opción|alternativa",
        r"es|son|sería|será|debe ser|vale|equivale a|es igual a",
        r"es (?:entonces )?(?:la|el|nuestra) (?:[a-záéíóú]+ ){0,2}(?:respuesta|resultado|solución)",
        r"(?:elijo|escojo|selecciono|elegimos|marco)(?: la)?(?: opción| respuesta| alternativa)?|letra",
        r"es (?:la )?(?:(?:opción|respuesta|alternativa) )?(?:correcta|verdadera|respuesta|la mejor)",
    ),
    "Portuguese": Phrases(
        r"respostas?|resultados?|solução|soluções|opção|alternativa|gabarito",
        r"é|são|será|seria|deve ser|vale|é igual a",
        r"é (?:então |portanto )?(?:a|o|nossa) (?:[a-záéíóúãõç]+ ){0,2}(?:resposta|resultado|solução)",
        r"(?:escolho|seleciono|escolhemos|marco)(?: a)?(?: opção| resposta| alternativa| letra)?",
        r"(?:é|está) (?:a )?(?:(?:opção|resposta|alternativa) )?(?:corret[ao]|cert[ao]|verdadeira|resposta)",
    ),
    "Russian": Phrases(
        r"ответ(?:ом|ы)?|результат(?:ом)?|решение(?:м)?|вариант",
        rf"равен|равна|равно|равны|является|будет|составляет|это|есть|{DIRECT}",
        r"[—–-] (?:это )?(?:[а-яё]+ ){0,2}(?:ответ|решение)|является (?:[а-яё]+ ){0,2}(?:ответом|решением)",
        r"(?:выбираю|выбираем|я выберу)(?: вариант| ответ)?",
        r"[—–-] (?:это )?(?:правильный|верный) (?:ответ|вариант)|является (?:правильным|верным)|верен|верно",
    ),
    "Chinese": Phrases(
        r"答案|最终结果|最終結果|结果|結果|正确选项|正確選項|正确的选项",
        rf"应该是|應該是|应当是|就是|应为|應為|应是|是|为|為|即|等于|等於|{DIRECT}",
        r"(?:就)?是(?:最终|最終|正确|正確|本题|本題|所求)?的?(?:答案|结果|結果)",
        r"(?:故|应|因此|所以)?(?:选择|選擇|我选|我選|选|選)(?:项|項|答案)?",
        r"(?:项|項)?(?:是|为|為)?(?:正确|正確|对)的?(?:选项|選項|答案)?|符合(?:题意|題意)",
    ),
    "Japanese": Phrases(
        r"答え|答|解答|正解|回答|最終結果|結果",
        rf"(?:と言えば|として)?は|が|{DIRECT}",
        r"が(?:正しい|求める|最終的な)?(?:答え|解答|正解|結果)",
        r"(?:選択肢|正解は)",
        r"(?:が|は)(?:正しい|正解|答え)|を(?:選ぶ|選び|選択)",
        r"\s?(?:です|でした|である|であります|でしょう|だ|となります|になります|となる|になる|と求まる)",
    ),
    "Korean": Phrases(
        r"최종\s?답|정답|답안|답|결과",
        rf"은|는|이|가|{DIRECT}",
        r"(?:이|가) (?:정답|답|결과)",
        r"(?:선택지|보기|정답은)",
        r"(?:이|가|을|를|번이|번을)? ?(?:정답|맞|옳|선택|고르)",
        r"\s?(?:입니다|이다|이에요|예요|이고|임|(?:이|가) 됩니다|(?:이|가) 된다|됩니다|라고 할 수 있습니다)",
    ),
    "Hindi": Phrases(
        r"उत्तर|जवाब|परिणाम|हल",
        rf"होगा|है|=|{DIRECT}|(?=\s[A-J]\b)",
        r"(?:ही )?(?:सही |अंतिम )?(?:उत्तर|जवाब) (?:है|होगा)",
        r"विकल्प",
        r"(?:ही )?सही (?:है|उत्तर|विकल्प)|चुन",
        r"\s?(?:हैं?|होगा|होगी|होंगे)",
    ),
}
OTHERS = ("Russian", "Chinese", "Japanese", "Korean", "Hindi")
"""Languages whose phrases are searched for on their own: with them the verb may be missing."""
EUROPEAN = tuple(name for name in LANGUAGES if name not in OTHERS)

HENCE = (
    r"(?:and )?(?:so|thus|hence|therefore|consequently|finally|then|ergo|in conclusion|altogether|in total|overall"
    r"|donc|ainsi|par conséquent|also|somit|daher|folglich|por lo tanto|por tanto|así que|entonces|luego|portanto|logo"
    r"|assim|итак|следовательно|таким образом|значит|所以|因此|故|从而|よって|したがって|ゆえに|従って|따라서|그러므로"
    r"|그래서|अतः|इसलिए)"
)
"""Words that introduce a conclusion."""
INVERTED = (
    r"\b(?:ist|lautet|beträgt) (?:also |somit |daher )?(?:die|das|unsere?) (?:\w+ ){0,2}"
    r"(?:antwort|lösung|ergebnis|resultat)(?=\s(?:[\d$\\(]|[A-J]\b))"
)
"""The name of an answer after its verb, and then the value, as in "also ist die Antwort 18"."""
FILLER = (
    r"(?:therefore|thus|hence|then|so|simply|just|exactly|precisely|clearly|actually|indeed|now|found to be|given by"
    r"|equal to|option|choice|letter|donc|alors|la réponse|l'option|also|somit|daher|genau|gleich|entonces|por tanto"
    r"|igual a|la opción|la alternativa|la|a alternativa|a opção|a letra|a|então|portanto|вариант|число"
    r"|选项|選項|选|選)"
)
"""Words between "the answer is" and the value."""
AFTERTHOUGHT = (
    r"as|because|since|which|so|where|when|but|giving|i\.e\.|that is|meaning|assuming|rounded|not|obtained|given|by"
    r"|I hope|and (?:we|this|that|so|hence|it|the proof)|car|parce que|puisque|comme|ce qui|weil|denn|da|wie|porque"
    r"|ya que|como|pois|já que|так как|потому что"
    r"|поскольку|что"
)
"""Words after a value that begin a reason or a remark."""
NO_ANSWER = (
    r"correct|wrong|verified|confirmed|above|below|as follows|given|not|therefore|obtained|in the|in|consistent|valid"
    r"|pas|nicht|не|unique|see"
    r"|expressed|rounded|simplified|independent|the same|what|exactly what|now|clear|let'?s|let us"
    r"|we|it"
)
"""Beginnings of a sentence about the answer that does not state it."""
NEGATED = r"\b(?:not|isn't|never|nicht|pas|no|não|не)(?:\s+\S*)?$|不|没|沒|ない|않|아니|नहीं"
"""Makes a sentence about the answer say what it is not."""
UNREAL = "false|untrue|wrong|incorrect|not true|if|whether|unless|suppose|assume|assuming"
"""Before a sentence about the answer: it is not asserted."""
CLOSERS = (
    r"i hope|hope this|let me know|feel free|this completes|this concludes|q\.?e\.?d|done|that'?s it|thank|note\b|check"
    r"|verification|as required|as desired|which (?:is|was) what|is there anything|希望|如有|以上"
)
"""Beginnings of a last line after the answer."""
HEDGES = (
    r"not|no|nor|never|neither|either|or|least|most|more|less|fewer|than|over|under|above|below|between|almost|nearly"
    r"|about|around|approximately|minus|negative|plus|times|twice|half|if|unless|except|until|before|after|without"
    r"|cannot|can't|isn't|aren't|doesn't|don't|wrong|false|incorrect|impossible|maybe|perhaps|possibly|problem|step"
    r"|part|case|equation|example|exercise|figure|page|line|question|mod|modulo|multiple|power|root|square"
)
"""Words that change what a number in a sentence means: such a sentence is not reduced to its number."""
VERBS = (
    r"is|are|was|were|be|equals?|has|have|had|gets?|got|gives?|gave|makes?|made|costs?|takes?|took|needs?|needed|earns?"
    r"|earned|pays?|paid|spends?|spent|weighs?|travels?|travelled|traveled|eats?|ate|buys?|bought|sells?|sold|left"
    r"|remains?|contains?|holds?|receives?|received|walks?|walked|runs?|ran|drives?|drove|produces?|produced|uses?|used"
    r"|saves?|saved|charges?|scores?|scored|collects?|collected|finds?|found|obtains?|obtained|totals?|totaled|owes?"
    r"|measures?|reads?|read|becomes?|yields?|lasts?|requires?|covers?|covered"
)
"""Verbs between the subject of a sentence and its number."""


def alternation(field: str, names: tuple[str, ...]) -> str:
    """The languages' phrases of one field as one alternation."""
    return "|".join(getattr(LANGUAGES[name], field) for name in names)


def words(alternatives: str) -> str:
    """The alternatives as whole words."""
    return rf"(?<![^\W_])(?:{alternatives})(?![^\W_])"


def compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)
