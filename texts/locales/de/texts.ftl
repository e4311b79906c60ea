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
mail-code-account-intro = Jemand, wahrscheinlich Sie, möchte ohne Passphrase in Ihr Konto bei { $organisation }. Geben Sie diesen Code auf der Seite ein, auf der Sie ihn angefordert haben:
mail-code-account-ignore = Wenn Sie keinen Code angefordert haben, beachten Sie diese E-Mail nicht. Ohne den Code und ohne Ihre Passphrase oder Ihren Wiederherstellungscode bleibt Ihr Konto verschlossen.

mail-passphrase-subject = Ihre Passphrase für das Portal von { $organisation } wurde geändert
mail-passphrase-title = Ihre Passphrase wurde geändert
mail-passphrase-intro = Am { $date } wurde die Passphrase oder der Wiederherstellungscode Ihres Kontos bei { $organisation } geändert.
mail-passphrase-you = Wenn Sie das waren, ist nichts zu tun.
mail-passphrase-other = Wenn Sie es nicht waren, kann jemand anders Ihre Nachrichten lesen. Rufen Sie { $organisation } unter der Nummer an, die Sie schon kennen, und bitten Sie darum, Ihr Konto zurückzusetzen.

mail-answer-from = { $reader } über das Portal von { $organisation }
mail-answer-without-subject = Antwort auf Ihre Nachricht
mail-answer-held-the-link = Diese Antwort kam über das Portal von { $organisation }, von jemandem, der den Link hatte, der an { $reader } geschickt wurde.
mail-answer-signed = Diese Antwort kam über das Portal von { $organisation }. Sie ist mit dem Schlüssel signiert, den { $reader } am { $date } hinterlegt hat.
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

mail-stuck-subject = Eine Nachricht kann nicht bearbeitet werden und wartet
mail-stuck-title = Eine Nachricht wartet im Gateway
mail-stuck-intro = Das Gateway von { $organisation } hat eine Nachricht angenommen und konnte sie in mehreren Versuchen weder versiegeln noch weitergeben. Sie ist nicht verloren: Sie liegt verschlüsselt bereit und wird weiter versucht.
mail-stuck-next = Die Ursache steht im Protokoll. Dieser Befehl zeigt den Stand der Nachricht:

mail-expired-subject = Ungelesen abgelaufen: Ihre geschützte Nachricht an { $recipient }
mail-expired-title = Ihre Nachricht wurde nicht geöffnet
mail-expired-intro = Sie haben am { $date } an { $recipient } geschrieben. Ihre Nachricht wurde nicht rechtzeitig geöffnet: Sie ist abgelaufen und wurde im Portal vernichtet.
mail-expired-next = Wenn sie noch wichtig ist, senden Sie sie noch einmal oder erreichen Sie den Empfänger auf anderem Weg.

mail-unsent-subject = Nicht gesendet: Ihre geschützte Nachricht an { $recipient }
mail-unsent-title = Ihre Nachricht wurde nicht gesendet
mail-unsent-intro = Sie haben am { $date } an { $recipient } geschrieben. Ihre Nachricht muss für den OpenPGP-Schlüssel des Empfängers verschlüsselt werden. Der Schlüssel war brauchbar, als die Nachricht angenommen wurde, und war es nicht mehr, als sie verschlüsselt werden sollte: Er ist abgelaufen, wurde widerrufen oder entfernt. Die Nachricht wurde nicht gesendet, auch nicht unverschlüsselt.
mail-unsent-next = Bitten Sie Ihre Administration um einen neuen Schlüssel des Empfängers oder senden Sie die Nachricht auf anderem Weg.

mail-straight-intro = { $sender } hat Ihnen geschrieben. Die Nachricht ist vertraulich und steht deshalb nicht in dieser E-Mail: Sie öffnen sie in Ihrem Konto im Portal von { $organisation }.
mail-straight-button = Anmelden und Nachricht öffnen
mail-straight-link-title = Melden Sie sich an und öffnen Sie die Nachricht:
mail-straight-full = Funktioniert die Schaltfläche nicht, kopieren Sie den ganzen Link in die Adresszeile Ihres Browsers:
mail-straight-forgotten = Sie brauchen die Passphrase Ihres Kontos. Haben Sie sie vergessen, halten Sie Ihren Wiederherstellungscode bereit: Das Portal zeigt Ihnen den Weg zurück.
mail-straight-call = Rufen Sie { $organisation } im Zweifel unter der Nummer an, die Sie schon kennen, aus einem Brief oder von einem früheren Besuch. Niemand dort wird Sie nach Ihrer Passphrase fragen.

mail-account-fingerprint = Fingerabdruck des Schlüssels
mail-account-made-subject = Ihr Konto im Portal von { $organisation }
mail-account-made-title = Sie haben jetzt ein Konto
mail-account-made-intro = Am { $date } wurde für { $reader } im Portal von { $organisation } ein Konto angelegt, mit einem eigenen Schlüssel. Von jetzt an werden Nachrichten an Sie so versiegelt, dass nur dieses Konto sie öffnet.
mail-account-made-next = Waren Sie das nicht, hat jemand anderes Zugang zu Ihrem Postfach. Rufen Sie { $organisation } unter der Nummer an, die Sie schon kennen, oder schreiben Sie an { $contact }: Das Konto kann zurückgesetzt werden.
mail-account-ended-subject = Ihr Konto auf dem Portal von { $organisation } wurde zurückgesetzt
mail-account-ended-title = Ihr Konto wurde zurückgesetzt
mail-account-ended-intro = Am { $date } hat die Administration von { $organisation } das Konto von { $reader } zurückgesetzt. Was nur für seinen Schlüssel versiegelt war, lässt sich nicht mehr öffnen; neue Nachrichten kommen wieder mit einem Link.
mail-account-ended-next = Mit der nächsten Nachricht können Sie ein neues Konto anlegen. Wenn Sie darum nicht gebeten haben, rufen Sie { $organisation } unter der Nummer an, die Sie schon kennen, oder schreiben Sie an { $contact }.

mail-account-enrolled-subject = { $reader } hat jetzt ein Konto
mail-account-enrolled-title = Ihr Empfänger hat jetzt ein Konto
mail-account-enrolled-intro = { $reader }, dem Sie geschrieben haben, hat am { $date } im Portal von { $organisation } ein Konto angelegt, mit einem eigenen Schlüssel. Von jetzt an werden Ihre Nachrichten an diesen Empfänger für diesen Schlüssel versiegelt.
mail-account-enrolled-next = Sie müssen nichts tun. Ist eine Nachricht so vertraulich, dass Sie sicher sein wollen, wem der Schlüssel gehört, rufen Sie den Empfänger an und vergleichen Sie den Fingerabdruck: Das Konto zeigt ihn unter Einstellungen. Sie erfahren, wenn sich der Schlüssel je ändert.
mail-account-changed-subject = Der Schlüssel von { $reader } hat sich geändert
mail-account-changed-title = Ihr Empfänger hat einen anderen Schlüssel
mail-account-changed-intro = { $reader }, dem Sie geschrieben haben, hat am { $date } im Portal von { $organisation } ein neues Konto angelegt. Sein Schlüssel ist ein anderer als bisher.
mail-account-changed-next = Das ist richtig so, wenn der Empfänger Passphrase und Wiederherstellungscode verloren hatte. Es könnte aber auch jemand anderes sein, der das Postfach übernommen hat. Bevor Sie etwas Vertrauliches senden, rufen Sie den Empfänger an und vergleichen Sie den Fingerabdruck. Stimmt etwas nicht, schreiben Sie an { $contact }.
mail-account-reset-subject = Der Schlüssel von { $reader } wird nicht mehr verwendet
mail-account-reset-title = Das Konto Ihres Empfängers wurde zurückgesetzt
mail-account-reset-intro = Am { $date } hat die Administration von { $organisation } das Konto von { $reader }, dem Sie geschrieben haben, zurückgesetzt. Nachrichten, die für seinen Schlüssel versiegelt und noch nicht gelesen waren, lassen sich nicht mehr öffnen.
mail-account-reset-next = Ihre nächsten Nachrichten gehen wieder mit einem Link an den Empfänger. Ist etwas, das Sie gesendet haben, noch wichtig, senden Sie es bitte noch einmal.

## Pages

page-title = Geschützte Nachricht
page-skip = Zum Inhalt springen
page-languages = Sprache
page-footer-sealed = Sealpost schützt diese Seite: { $organisation } versiegelt jede Nachricht am Gateway, bevor sie gespeichert wird, und geöffnet wird sie nur in Ihrem Browser. Link und Code zusammen öffnen sie; eines allein genügt nicht.
page-footer-telephone = Fragen, oder unsicher, ob das hier echt ist? Telefon
page-call = Telefon:
page-loading = Einen Moment …
page-steps = Schritte
page-step-ask = Code anfordern
page-step-code = Code eingeben
page-step-read = Lesen
page-continue = Weiter
page-again = Erneut versuchen
page-problem = Das hat nicht geklappt
page-noscript-heading = Bitte schalten Sie JavaScript ein
page-noscript-advice = Die Nachricht wird in Ihrem Browser geöffnet und nirgends sonst. Dazu braucht es JavaScript, das hier ausgeschaltet ist. Schalten Sie es für diese Seite ein und laden Sie sie neu, oder öffnen Sie den Link in einem anderen Browser. Wenn beides nicht geht, rufen Sie uns an.
page-old-browser-heading = Dieser Browser ist zu alt
page-old-browser-advice = Die Nachricht wird in Ihrem Browser geöffnet, und diesem fehlt die Verschlüsselung, die es dazu braucht. Öffnen Sie den Link aus der Mail in einer aktuellen Version von Chrome, Edge, Firefox oder Safari, zum Beispiel auf Ihrem Telefon. Wenn das nicht geht, rufen Sie uns an.
page-greeting-heading = Sie haben eine geschützte Nachricht von { $organisation }
page-greeting-intro = Damit nur Sie sie lesen können, schicken wir einen Code an die E-Mail-Adresse, an die auch der Link kam. Sie brauchen kein Konto und kein Passwort.
page-greeting-hint = Der Code kommt in einer eigenen Mail und gilt zehn Minuten. Sie können diese Seite verlassen, um ihn zu holen.
page-genuine = Unsicher, ob das hier echt ist? { $organisation } gibt Auskunft:
page-ask-button = Code anfordern
page-code-heading = Geben Sie den Code aus Ihrer Mail ein
page-code-sent = Wenn eine Nachricht für Sie vorliegt, ist der Code unterwegs an Ihre E-Mail-Adresse.
page-code-label = Code
page-code-hint = Acht Ziffern. Leerzeichen spielen keine Rolle.
page-code-button = Nachricht öffnen
page-code-missing-heading = Keine Mail mit einem Code?
page-code-missing = Das kann ein bis zwei Minuten dauern. Bitte sehen Sie auch im Spam-Ordner nach. Nur der neueste Code gilt, und nur in diesem Browser. Wir schicken höchstens drei Codes in einer Viertelstunde.
page-code-again = Weiteren Code anfordern
page-code-never = Wenn gar kein Code kommt, ist die Nachricht vielleicht abgelaufen oder wurde zurückgezogen.
page-secret-heading = Geben Sie Ihren Abholcode ein
page-secret-label = Abholcode
page-secret-hint = Er steht in der Mail unter dem Link: neun Gruppen aus vier Buchstaben und Ziffern. Groß- und Kleinschreibung, Leerzeichen und Bindestriche spielen keine Rolle.
page-address-label = Ihre E-Mail-Adresse
page-address-hint = Die Adresse, an die unsere Mail kam.
page-open-heading = Eine geschützte Nachricht von { $organisation } öffnen
page-open-intro = Am einfachsten ist der Link in unserer Mail. Wenn er nicht geht, geben Sie Ihre E-Mail-Adresse und den Abholcode aus der Mail ein. Wir schicken Ihnen dann einen zweiten Code.
page-open-link = Ich habe einen Abholcode
page-about-heading = Was ist das hier?
page-about = Nachrichten, die niemanden sonst etwas angehen, schickt { $organisation } über diese Seite statt als gewöhnliche Mail. Sie werden am Gateway versiegelt, nur versiegelt gespeichert und in Ihrem Browser geöffnet, mit dem, was Sie haben: dem Link oder Abholcode aus unserer Mail und einem Code, den wir an Ihre Adresse schicken.
page-from = Von
page-to = An
page-cc = Kopie
page-date = Datum
page-enclosures = Anhänge
page-letter-verified = Am Gateway von { $organisation } versiegelt, in diesem Browser geprüft, unverändert.
page-print = Drucken
page-save-mail = Als .eml speichern
page-reply-open = Antworten
page-reply-heading = Ihre Antwort
page-reply-kept = Das hatten Sie schon geschrieben. Es wurde in diesem Tab aufbewahrt.
page-reply-label = Nachricht
page-reply-files = Dateien anhängen
page-reply-files-hint = Bis zu 20 Dateien, zusammen 25 MB.
page-reply-send = Antwort senden
page-reply-cancel = Verwerfen
page-reply-sealed = Ihre Antwort wird in diesem Browser versiegelt, bevor sie ihn verlässt. Nur { $organisation } kann sie öffnen.
page-reply-again = Weitere Antwort schreiben
page-sent-heading = Ihre Antwort ist abgeschickt
page-sent = { $organisation } hat Ihre Antwort angenommen und stellt sie in das Postfach der Person zu, die Ihnen geschrieben hat.
page-sent-next = Wenn sie antwortet, bekommen Sie wieder eine Mail mit einem Link. Sie können diese Seite jetzt schließen.
page-lost-link = Neue Mail mit einem Link anfordern
page-lost-heading = Link verloren oder abgelaufen?
page-lost-intro = Geben Sie Ihre E-Mail-Adresse ein. Wenn Nachrichten für Sie vorliegen, die sich noch öffnen lassen, schicken wir Ihnen eine neue Mail mit einem Link.
page-lost-button = Neue Mail anfordern
page-lost-done-heading = Vielen Dank
page-lost-done = Wenn für diese Adresse Nachrichten vorliegen, die sich noch öffnen lassen, ist eine Mail unterwegs. Das kann einige Minuten dauern; bitte sehen Sie auch im Spam-Ordner nach.
page-lost-done-nothing = Wenn nichts kommt, gibt es keine Nachricht mehr: Sie ist abgelaufen, wurde zurückgezogen oder ging an eine andere Adresse. Bitten Sie die Person, die Ihnen geschrieben hat, sie noch einmal zu schicken.
page-error-not-found-heading = Diese Seite gibt es nicht
page-error-not-found-advice = Bitte öffnen Sie den Link aus unserer Mail noch einmal. Wenn er alt ist, können Sie einen neuen anfordern.
page-error-bad-request-heading = Das hat nicht geklappt
page-error-bad-request-advice = Die Seite wurde auf eine Weise aufgerufen, die sie nicht kennt. Bitte öffnen Sie den Link aus unserer Mail noch einmal.
page-error-too-large-heading = Das ist zu groß
page-error-too-large-advice = Was Sie geschickt haben, ist größer, als wir annehmen können. Bitte schicken Sie weniger auf einmal.
page-error-too-many-heading = Zu viele Versuche
page-error-too-many-advice = Bitte warten Sie einige Minuten und versuchen Sie es dann noch einmal.
page-error-busy-heading = Wir sind gerade nicht erreichbar
page-error-busy-advice = Es ist nichts verloren. Bitte versuchen Sie es in einigen Minuten noch einmal.

## Browser

js-code-until = Er gilt bis { $time }.
js-code-sent = Bitte geben Sie den Code aus Ihrer Mail ein.
js-code-length = Der Code hat acht Ziffern. Bitte prüfen Sie Ihre Eingabe.
js-code-checking = Der Code wird geprüft …
js-code-wrong = Dieser Code gilt nicht (mehr). Bitte prüfen Sie ihn, oder fordern Sie unten einen weiteren an.
js-code-wait = In { $seconds } Sekunden können Sie einen weiteren Code anfordern.
js-unreachable-offline = Keine Verbindung. Bitte prüfen Sie sie und versuchen Sie es noch einmal.
js-unreachable-busy = Wir sind gerade nicht erreichbar. Bitte versuchen Sie es in einigen Minuten noch einmal.
js-unreachable-often = Zu viele Versuche. Bitte warten Sie einige Minuten und versuchen Sie es dann noch einmal.
js-secret-missing = Ihr Mailprogramm hat nicht den ganzen Link weitergegeben. Bitte geben Sie den Abholcode aus der Mail ein; er ersetzt den fehlenden Teil.
js-secret-damaged = Ihr Mailprogramm hat den Link unterwegs verändert. Bitte geben Sie den Abholcode aus der Mail ein; er ersetzt den beschädigten Teil.
js-secret-foreign = Der Link oder Abholcode gehört nicht zu dieser Nachricht. Vielleicht haben Sie mehrere Mails von uns: Bitte nehmen Sie den Abholcode aus der Mail, deren Link Sie geöffnet haben.
js-secret-wrong = Das ist kein Abholcode: Eines der Zeichen muss falsch sein. Bitte vergleichen Sie ihn mit der Mail.
js-secret-fits-none = Keine Nachricht, die sich mit dieser Adresse öffnen lässt, passt zu diesem Abholcode. Bitte vergleichen Sie beides mit der Mail. Wenn die Nachricht abgelaufen ist, können Sie unten eine neue Mail anfordern.
js-address-wrong = Bitte geben Sie eine E-Mail-Adresse wie name@example.com ein.
js-no-subject = (kein Betreff)
js-no-body = (Diese Nachricht hat keinen Text.)
js-frame-title = Text der Nachricht: { $subject }
js-view-text = Als reinen Text zeigen
js-view-html = Als formatierten Text zeigen
js-available-until = Bis zum { $date } können Sie diese Nachricht hier so oft öffnen, wie Sie möchten.
js-unnamed = Anhang { $number }
js-save = Speichern
js-save-name = { $name } speichern
js-saved = { $name } wurde an die Downloads Ihres Browsers übergeben.
js-part-tampered = Dieser Anhang wurde unterwegs verändert und wird nicht geöffnet. Bitte rufen Sie uns an.
js-session-over = Sie wurden zur Sicherheit abgemeldet. Bitte laden Sie diese Seite neu und fordern Sie einen neuen Code an. Was Sie geschrieben haben, bleibt erhalten.
js-remove = Entfernen
js-remove-name = { $name } entfernen
js-reply-to = An { $name }
js-reply-discard = Möchten Sie verwerfen, was Sie geschrieben haben?
js-reply-empty = Bitte schreiben Sie etwas oder hängen Sie eine Datei an.
js-files-too-much = { $name } passt nicht mehr: höchstens { $number } Dateien und zusammen { $most }.
js-file-unreadable = { $name } ließ sich nicht lesen. Bitte wählen Sie die Datei noch einmal.
js-file-again = Diese Datei war zu groß, um sie aufzubewahren, während die Seite weg war. Bitte entfernen Sie sie und wählen Sie sie noch einmal.
js-files-missing = Bitte wählen Sie die markierten Dateien noch einmal, oder entfernen Sie sie.
js-sealing = Ihre Antwort wird versiegelt …
js-sending = Wird gesendet: { $percent } %
js-handing-over = Wird übergeben …
js-reply-waiting = Ihre Antwort ist sicher und versiegelt gespeichert und wird so bald wie möglich zugestellt. Sie brauchen sie nicht noch einmal zu senden.
js-reply-refused = Ihre Antwort konnte nicht angenommen werden. Was Sie geschrieben haben, ist noch da. Bitte versuchen Sie es noch einmal, oder rufen Sie uns an.
js-reply-too-large = Ihre Antwort ist größer, als wir annehmen können. Bitte entfernen Sie eine Datei.
js-reply-not-sent = Ihre Antwort ist noch nicht abgeschickt. Bitte drücken Sie noch einmal auf den Knopf.
js-reply-failed = Ihre Antwort ließ sich in diesem Browser nicht versiegeln. Was Sie geschrieben haben, ist noch da. Bitte versuchen Sie es noch einmal.
js-problem-gone-heading = Diese Nachricht lässt sich nicht mehr öffnen
js-problem-gone-advice = Sie ist abgelaufen, wurde zurückgezogen oder gehört zu einer anderen Adresse. Fordern Sie eine neue Mail mit einem Link an, fragen Sie die Person, die Ihnen geschrieben hat, oder rufen Sie uns an.
js-problem-tampered-heading = Diese Nachricht wurde unterwegs verändert
js-problem-tampered-advice = Was bei uns ankam, besteht die Prüfung nicht, deshalb wird nichts davon gezeigt. Bitte geben Sie hier nichts ein. Rufen Sie uns an, damit die Nachricht noch einmal geschickt werden kann.
js-problem-unreachable-heading = Keine Verbindung
js-problem-unreachable-advice = Die Seite war nicht zu erreichen. Es ist nichts verloren: Bitte prüfen Sie Ihre Verbindung und versuchen Sie es noch einmal.
js-problem-address-heading = Der Link ist nicht vollständig
js-problem-address-advice = Bitte öffnen Sie den Link in unserer Mail noch einmal, oder kopieren Sie ihn ganz in die Adresszeile.
