"""Why Sydent's answers differ from what the specification wants, step by step."""

ERRORS = "the specification wants every error to be a JSON object with errcode and error; Sydent leaves paths that it does not know to its web framework"
SUBMIT = "since v1.18 the specification names the codes of a failed submitToken, as errors with status 400; Sydent answers 200 with success false"
ADDRESS = "the specification wants M_INVALID_EMAIL for what is no mail address; Sydent takes any address that its mail library can parse"
CRASH = "Sydent does not foresee this and answers 500; the specification has a code for it"
RESEND = "the specification wants no second mail for a send_attempt that is not higher; this version of Sydent sends it"
FOLDED = "the specification folds ß to ss and proves the folded address; Sydent mails to the address as it was written, which its mail code can not do beyond ASCII"
OWN_USER = "the specification says that whoever owns an address can associate it with any user; Sydent allows the caller's own user only"

REASONS = {
    "an unknown path": ERRORS,
    "a wrong method": ERRORS,
    "a key that is not there": ERRORS,
    "register with a bad token": "the homeserver does not know the token, so the caller has not proved to be anybody: 401; Sydent passes it on as an error of its own, 500",
    "requestToken: no mail address": ADDRESS,
    "store-invite of what is no address": CRASH,
    "sign-ed25519 with what is no key": CRASH,
    "and sends no mail": RESEND,
    "and sends another mail": RESEND,
    "submitToken with a wrong token": SUBMIT,
    "submitToken with a wrong secret": SUBMIT,
    "submitToken of no session": SUBMIT,
    "a wrong link is a 4XX": "the specification wants a 4XX when a link does not validate; Sydent shows its page of failure with 200",
    "requestToken of an address with a sharp s": FOLDED,
    "bind an address with a sharp s": FOLDED,
    "an address with a sharp s is found case-folded": FOLDED,
    "bind to another user": OWN_USER,
    "bind to what is no user": OWN_USER,
    "unbind by a signature of something else": "the specification wants 403 for credentials that are not valid; Sydent answers 401 with the same code",
    "by PUT, as the definition of the endpoint says": "the text of the specification says POST and the definition of the endpoint PUT; Sydent knows POST only, Roost tries PUT and then POST",
    "logout of an unknown token": "the definition of logout wants M_UNKNOWN_TOKEN; Sydent answers as everywhere else",
    "POST /store-invite before the terms": "both orders are allowed: Sydent looks at the parameters before it looks at the caller",
    "accepting something else": "the specification wants URLs to be added to what is known, and no error for other ones; Sydent refuses them",
}
