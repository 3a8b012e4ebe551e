import COpenSSL
import Glibc

/// TLS over a connected, blocking socket, as the client. The socket stays its opener's, who sets its timeouts. One owner.
///
/// A class: Swift 6.3's optimiser crashes on an optional of a noncopyable type that a noncopyable one holds.
public final class TLSStream {
  private let ssl: OpaquePointer

  /// Shakes hands with the server, whose certificate has to be for `host` or the options' server name.
  public init(_ options: TLSOptions, over descriptor: Int32, host: String) throws(TLSError) {
    // Errors of others on this thread would be taken for ours.
    ERR_clear_error()
    let context = try TLSContext(options)
    guard let ssl = SSL_new(context.raw) else { throw TLSError(Self.reason("TLS")) }
    do throws(TLSError) {
      try Self.expect(options.serverName ?? host, ssl)
      try SocketBIO.attach(descriptor, to: ssl)
      let code = SSL_connect(ssl)
      if code != 1 { throw Self.failure(ssl, code, "the TLS handshake failed") }
    } catch {
      SSL_free(ssl)
      throw error
    }
    self.ssl = ssl
  }

  deinit { SSL_free(ssl) }

  /// Sends bytes; the number of those that were taken, at least one.
  public func send(_ bytes: UnsafeRawBufferPointer) throws(TLSError) -> Int {
    ERR_clear_error()
    var count = 0
    let code = SSL_write_ex(ssl, bytes.baseAddress, bytes.count, &count)
    if code == 1 { return count }
    let isReset = errno == ECONNRESET || errno == EPIPE
    let failure = Self.failure(ssl, code, "sending failed")
    throw isReset ? parting() ?? failure : failure
  }

  /// A server that refuses a client says why before it closes the connection: nil if it has said nothing.
  private func parting() -> TLSError? {
    var byte: UInt8 = 0
    var count = 0
    let code = SSL_read_ex(ssl, &byte, 1, &count)
    guard code != 1, SSL_get_error(ssl, code) == SSL_ERROR_SSL else { return nil }
    return TLSError(Self.reason("the server closed the connection"))
  }

  /// Waits for bytes; the number of those that came, 0 once the server has closed the connection.
  public func receive(into buffer: UnsafeMutableRawBufferPointer) throws(TLSError) -> Int {
    ERR_clear_error()
    var count = 0
    let code = SSL_read_ex(ssl, buffer.baseAddress, buffer.count, &count)
    if code == 1 { return count }
    if SSL_get_error(ssl, code) == SSL_ERROR_ZERO_RETURN { return 0 }
    throw Self.failure(ssl, code, "receiving failed")
  }

  /// Whom the server's certificate has to be for. An address is not sent: the protocol knows names only.
  private static func expect(_ name: String, _ ssl: OpaquePointer) throws(TLSError) {
    let parameters = SSL_get0_param(ssl)
    if X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1 { return }
    ERR_clear_error()
    guard SSL_set1_host(ssl, name) == 1, plumb_tls_name_server(ssl, name) == 1 else {
      throw TLSError("'\(name)' is no name that a certificate can be for")
    }
  }

  private static func failure(_ ssl: OpaquePointer, _ code: Int32, _ doing: String) -> TLSError {
    let socketError = errno
    let kind = SSL_get_error(ssl, code)
    let verified = SSL_get_verify_result(ssl)
    if verified != Int(X509_V_OK) {
      let why = String(cString: X509_verify_cert_error_string(verified))
      return TLSError("the server's certificate is not accepted: \(why)\(advice(verified))")
    }
    switch kind {
    case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE:
      return TLSError(
        SSL_is_init_finished(ssl) == 1 ? "timed out" : "\(doing): timed out; does this port speak TLS?")
    case SSL_ERROR_ZERO_RETURN: return TLSError("\(doing): the server closed the connection")
    case SSL_ERROR_SYSCALL:
      let why = socketError == 0 ? "the server closed the connection" : String(cString: strerror(socketError))
      return TLSError("\(doing): \(why)")
    default: return TLSError(reason(doing))
    }
  }

  private static func advice(_ result: Int) -> String {
    switch Int32(truncatingIfNeeded: result) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
      X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      ": give the file of the authority that signed it"
    case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
      ": give the name that it is for, if it is the right server"
    default: ""
    }
  }

  /// What OpenSSL has to say, the first error first: the later ones only say who passed it on.
  static func reason(_ doing: String) -> String {
    let code = ERR_get_error()
    ERR_clear_error()
    guard code != 0, let text = ERR_reason_error_string(code) else { return doing }
    return "\(doing): \(String(cString: text))"
  }
}
