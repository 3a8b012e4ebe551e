import COpenSSL
import Glibc
public import NIOCore
import Synchronization

/// A server's certificate chain and private key, from files in PEM that are read again when they change.
public final class TLSIdentity: Sendable {
  /// Why the files can't be used.
  public struct Failure: Error, CustomStringConvertible {
    /// Which, and why.
    public let description: String
  }

  /// The owner of OpenSSL's context.
  private final class Context: @unchecked Sendable {
    let raw: OpaquePointer

    init(_ raw: OpaquePointer) { self.raw = raw }
    deinit { SSL_CTX_free(raw) }
  }

  /// What changes with a file's content.
  private struct Stamp: Equatable {
    var seconds: Int
    var nanoseconds: Int
    var inode: UInt
  }

  private struct State {
    var context: Context
    var stamps: [Stamp?]
    var problem: String?
  }

  private let certificate: String
  private let key: String
  private let state: Mutex<State>

  /// Reads the files; the key may be in the certificate's.
  public init(certificate: String, key: String?) throws(Failure) {
    let key = key ?? certificate
    let stamps = [certificate, key].map(Self.stamp)
    let context = try Self.load(certificate, key)
    self.certificate = certificate
    self.key = key
    state = Mutex(State(context: context, stamps: stamps))
  }

  /// Reads the files again if they have changed, for connections from then on. `report` is told of that once; files that
  /// can't be used change nothing.
  public func refresh(report: (_ isError: Bool, String) -> Void) {
    let stamps = [certificate, key].map(Self.stamp)
    guard state.withLock({ $0.stamps != stamps }) else { return }
    do throws(Failure) {
      let context = try Self.load(certificate, key)
      state.withLock { $0 = State(context: context, stamps: stamps) }
      report(false, "the certificate was read again")
    } catch {
      let isNew = state.withLock { state in
        defer { state.problem = error.description }
        return state.problem != error.description
      }
      if isNew { report(true, "the former certificate holds on: \(error)") }
    }
  }

  /// What a connection speaks TLS through.
  public func makeHandler() throws(Failure) -> some ChannelHandler {
    let context = state.withLock { $0.context }
    guard let ssl = SSL_new(context.raw) else { throw Self.failure("TLS") }
    return TLSServerHandler(owning: ssl)
  }

  private static func load(_ certificate: String, _ key: String) throws(Failure) -> Context {
    ERR_clear_error()
    guard let raw = SSL_CTX_new(TLS_server_method()) else { throw failure("TLS") }
    let context = Context(raw)
    guard plumb_tls_require_1_2(raw) == 1 else { throw failure("TLS 1.2") }
    // SSL_OP_NO_RENEGOTIATION: a client could keep the server at handshakes.
    SSL_CTX_set_options(raw, 1 << 30)
    // Without this OpenSSL would ask at the terminal.
    SSL_CTX_set_default_passwd_cb(raw) { _, _, _, _ in -1 }
    for file in [certificate, key] where access(file, R_OK) != 0 {
      throw Failure(description: "\(file) can't be read: \(String(cString: strerror(errno)))")
    }
    guard SSL_CTX_use_certificate_chain_file(raw, certificate) == 1 else {
      throw failure("\(certificate) holds no certificate in PEM")
    }
    guard SSL_CTX_use_PrivateKey_file(raw, key, SSL_FILETYPE_PEM) == 1, SSL_CTX_check_private_key(raw) == 1
    else {
      throw failure("\(key) holds no key in PEM without a passphrase that fits the certificate")
    }
    return context
  }

  private static func failure(_ doing: String) -> Failure {
    let code = ERR_get_error()
    ERR_clear_error()
    guard code != 0, let text = ERR_reason_error_string(code) else { return Failure(description: doing) }
    return Failure(description: "\(doing): \(String(cString: text))")
  }

  private static func stamp(_ path: String) -> Stamp? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    return Stamp(
      seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec, inode: UInt(status.st_ino))
  }
}
