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

## Mails

mail-layout-organisation = Organisation
mail-layout-telephone = Telefon
mail-layout-website = Website
mail-layout-machine = Diese E-Mail wurde automatisch geschrieben. Antworten auf sie liest niemand.

mail-notification-subject = Eine geschützte Nachricht von { $organisation }
mail-notification-from = { $sender-name } über { $organisation }
mail-notification-title = Für Sie liegt eine geschützte Nachricht bereit
mail-notification-intro = { $sender } hat Ihnen geschrieben. Die Nachricht ist vertraulich und steht deshalb nicht in dieser E-Mail: Sie öffnen sie im Portal von { $organisation }. Sie brauchen kein Konto und müssen nichts installieren.
mail-notification-button = Nachricht öffnen
mail-notification-link-title = Mit diesem Link öffnen Sie die Nachricht:
mail-notification-code = Wenn Sie den Link geöffnet haben, schicken wir Ihnen per E-Mail einen Code. Geben Sie ihn auf der Seite ein, dann öffnet sich die Nachricht.
mail-notification-expires = Sie können die Nachricht bis zum { $date } beliebig oft öffnen. Danach wird sie vernichtet.
mail-notification-genuine-title = Ist diese E-Mail echt?
mail-notification-genuine-link = Der Link beginnt mit der Adresse des Portals. Prüfen Sie das in Ihrem Browser, bevor Sie etwas eingeben:
mail-notification-genuine-call = Rufen Sie { $organisation } im Zweifel unter der Nummer an, die Sie schon kennen, aus einem Brief oder von einem früheren Besuch. Niemand dort wird Sie nach dem Code fragen.
mail-notification-without-title = Wenn sich der Link nicht öffnen lässt
mail-notification-without = Gehen Sie zur Adresse des Portals und geben Sie Ihre E-Mail-Adresse und diesen Abholcode ein:
mail-notification-full = Oder kopieren Sie den ganzen Link in die Adresszeile Ihres Browsers:
mail-notification-answer = Um zu antworten, öffnen Sie die Nachricht: Dort finden Sie eine Schaltfläche dafür.
mail-notification-forward = Der Link ist nur für Sie bestimmt. Bitte leiten Sie diese E-Mail nicht weiter.

mail-follow-up-subject = Eine weitere geschützte Nachricht von { $organisation }
mail-follow-up-title = In Ihrem Gespräch liegt eine weitere Nachricht bereit
mail-follow-up-intro = { $sender } hat Ihnen wieder geschrieben, in dem Gespräch, das Sie schon kennen. Die neue Nachricht ist vertraulich und steht deshalb nicht in dieser E-Mail: Sie öffnen sie wie bisher im Portal von { $organisation }.

mail-code-subject = Ihr Code für das Portal von { $organisation }
mail-code-title = Ihr Code
mail-code-intro = Geben Sie diesen Code auf der Seite ein, auf der Sie Ihre Nachricht von { $organisation } öffnen möchten:
mail-code-valid = Er gilt { $minutes } Minuten lang und nur in dem Browser, in dem Sie ihn angefordert haben.
mail-code-never = Verraten Sie ihn niemandem, auch nicht am Telefon. Niemand bei { $organisation } wird Sie danach fragen.
mail-code-ignore = Wenn Sie keinen Code angefordert haben, beachten Sie diese E-Mail nicht. Ohne den Code bleibt Ihre Nachricht verschlossen.

mail-answer-from = { $reader } über das Portal von { $organisation }
mail-answer-without-subject = Antwort auf Ihre Nachricht
mail-answer-held-the-link = Diese Antwort kam über das Portal von { $organisation }, von jemandem, der den Link hatte, der an { $reader } geschickt wurde.
mail-answer-not-scanned = Die Anlagen wurden nicht auf Schadsoftware geprüft. Öffnen Sie sie mit Vorsicht.
mail-answer-again = Wenn Sie auf diese E-Mail wie gewohnt antworten, geht Ihre Antwort geschützt in dasselbe Gespräch zurück.
mail-answer-unnamed = Anlage

mail-report-recipient = Empfänger
mail-report-date = Gesendet am
mail-report-message-id = Message-ID Ihrer Nachricht
mail-report-reply = Antwort des Mailservers

mail-undelivered-subject = Nicht zugestellt: Ihre geschützte Nachricht an { $recipient }
mail-undelivered-title = Ihre Nachricht hat den Empfänger nicht erreicht
mail-undelivered-intro = Sie haben am { $date } an { $recipient } geschrieben. Ihre Nachricht wurde versiegelt und ins Portal gelegt, aber die E-Mail, die dem Empfänger davon berichtet, konnte nicht zugestellt werden. Er weiß also nichts davon.
mail-undelivered-next = Bitte prüfen Sie die Adresse. Ist sie falsch geschrieben, senden Sie die Nachricht noch einmal an die richtige. Gehört sie jemand anderem, sagen Sie es Ihrer Administration: Sie kann die Nachricht zurückziehen.

mail-expired-subject = Ungelesen abgelaufen: Ihre geschützte Nachricht an { $recipient }
mail-expired-title = Ihre Nachricht wurde nicht geöffnet
mail-expired-intro = Sie haben am { $date } an { $recipient } geschrieben. Ihre Nachricht wurde nicht rechtzeitig geöffnet: Sie ist abgelaufen und wurde im Portal vernichtet.
mail-expired-next = Wenn sie noch wichtig ist, senden Sie sie noch einmal oder erreichen Sie den Empfänger auf anderem Weg.

mail-held-answer-subject = Eine Antwort wird in der Warteschlange gehalten
mail-held-answer-title = Eine Antwort konnte nicht zugestellt werden
mail-held-answer-intro = { $reader } hat { $sender } im Portal geantwortet, aber der interne Mailserver hat die Antwort abgelehnt. Sie ist nicht verloren: Sie liegt verschlüsselt in der Warteschlange.
mail-held-answer-sender = Postfach
mail-held-answer-queue-id = Kennung in der Warteschlange
mail-held-answer-next = Beheben Sie die Ursache und senden Sie die Antwort dann mit diesem Befehl noch einmal:
