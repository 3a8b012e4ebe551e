import HTTPListener

/// Why a request has no answer: RFC 9457's problem details, or what Feast's client raises.
struct Problem: Error {
  /// The kinds, each with a stable name.
  enum Kind: String, CaseIterable {
    case badRequest = "bad-request"
    case unknownView = "unknown-view"
    case unknownFeature = "unknown-feature"
    case unknownService = "unknown-service"
    case missingEntity = "missing-entity"
    case missingInput = "missing-input"
    case invalidValue = "invalid-value"
    case nameCollision = "name-collision"
    case tooLarge = "too-large"
    case unauthorized
    case forbidden
    case notFound = "not-found"
    case methodNotAllowed = "method-not-allowed"
    case notAcceptable = "not-acceptable"
    case stateIsNewer = "state-is-newer"
    case stale
    case unavailable
    case internalError = "internal-error"
  }

  var kind: Kind
  var message: String
  var allow: String?

  init(_ kind: Kind, _ message: String, allow: String? = nil) {
    self.kind = kind
    self.message = message
    self.allow = allow
  }

  var status: Int {
    switch kind {
    case .badRequest: 400
    case .unauthorized: 401
    case .forbidden: 403
    case .notFound: 404
    case .unknownService: 404
    case .methodNotAllowed: 405
    case .notAcceptable: 406
    case .stateIsNewer: 409
    case .tooLarge: 413
    case .unknownView, .unknownFeature, .missingEntity, .missingInput, .invalidValue, .nameCollision: 422
    case .stale, .unavailable: 503
    case .internalError: 500
    }
  }

  private var title: String {
    let words = kind.rawValue.replacing("-", with: " ")
    return words.prefix(1).uppercased() + words.dropFirst()
  }

  private var headers: [(name: String, value: String)] {
    var headers: [(name: String, value: String)] = []
    if status == 503 { headers.append(("retry-after", "1")) }
    if status == 401 { headers.append(("www-authenticate", "Bearer")) }
    if let allow { headers.append(("allow", allow)) }
    return headers
  }

  /// As problem details.
  var answer: HTTPAnswer {
    var text = JSONText()
    text.raw("{\"type\":")
    text.string("urn:plumbline:problem:\(kind.rawValue)")
    text.raw(",\"title\":")
    text.string(title)
    text.raw(",\"status\":")
    text.number(status)
    text.raw(",\"detail\":")
    text.string(message)
    text.raw("}\n")
    return HTTPAnswer(status, "application/problem+json", text.bytes, headers: headers)
  }

  /// The class of `feast.errors` that its client raises.
  private var feastClass: String {
    switch kind {
    case .unknownView, .unknownFeature: "FeatureViewNotFoundException"
    case .unknownService: "FeatureServiceNotFoundException"
    case .missingEntity: "EntityNotFoundException"
    case .missingInput: "RequestDataNotFoundInEntityRowsException"
    case .nameCollision: "FeatureNameCollisionError"
    case .unauthorized, .forbidden: "FeastPermissionError"
    default: "FeastError"
    }
  }

  /// A JSON string that holds JSON: the client decodes twice, and crashes on anything else.
  var feastAnswer: HTTPAnswer {
    var inner = JSONText()
    inner.raw("{\"module\": \"feast.errors\", \"class\": ")
    inner.string(feastClass)
    inner.raw(", \"message\": ")
    inner.string(message)
    inner.raw("}")
    var outer = JSONText()
    outer.string(String(decoding: inner.bytes, as: UTF8.self))
    return HTTPAnswer(status, "application/json", outer.bytes, headers: headers)
  }
}
