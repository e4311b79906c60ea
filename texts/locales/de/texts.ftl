### Deutsch. Schlüssel: mail-* in Mails, page-* auf Seiten, js-* im Browser. Variablen stehen als `{ $name }`.

## Berichte über Post, die nicht zugestellt werden konnte

mail-report-failed-subject = Ihre Nachricht konnte nicht zugestellt werden
mail-report-failed-opening = Das Mail-Gateway von { $organisation } konnte Ihre Nachricht vom { $date } nicht zustellen an:
mail-report-failed-refused = Der empfangende Mailserver hat sie endgültig abgelehnt und sagte:
mail-report-failed-expired = Sie wurde mehrere Tage lang vergeblich versucht. Letzte Antwort:
mail-report-failed-closing = Die Nachricht wurde an diese Empfänger nicht gesendet und wird nicht noch einmal versucht. Bitte prüfen Sie die Adressen, oder erreichen Sie sie auf anderem Weg.
mail-report-held-subject = Eine Antwort konnte nicht zugestellt werden und wird aufbewahrt
mail-report-held-opening = Eine Antwort, die über das Portal kam, konnte nicht zugestellt werden an:
mail-report-held-closing = Sie ist nicht verloren: Sie liegt in der Warteschlange des Gateways unter { $id }. Ist die Ursache behoben, gibt "sealpost queue retry { $id }" sie frei.

## Dates

date-format = { $day }. { $month } { $year }
date-month-1 = Januar
date-month-2 = Februar
date-month-3 = März
date-month-4 = April
date-month-5 = Mai
date-month-6 = Juni
date-month-7 = Juli
date-month-8 = August
date-month-9 = September
date-month-10 = Oktober
date-month-11 = November
date-month-12 = Dezember
