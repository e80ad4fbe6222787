package org.sftnative.web;

import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// A refusal in OpenAI's shape: a status, and `{"error": {"message", "type", "param", "code"}}`.
public final class ApiException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final int status;
    private final String type;
    private final transient Optional<String> param;
    private final transient Optional<String> code;
    private final transient Map<String, String> headers;

    private ApiException(
            int status,
            String type,
            String message,
            Optional<String> param,
            Optional<String> code,
            Map<String, String> headers) {
        super(message, null, false, false);
        this.status = status;
        this.type = type;
        this.param = param;
        this.code = code;
        this.headers = headers;
    }

    /// 400: a field is wrong.
    static ApiException field(String param, String message) {
        return field(param, "invalid_value", message);
    }

    static ApiException field(String param, String code, String message) {
        return new ApiException(400, "invalid_request_error", message, Optional.of(param), Optional.of(code), Map.of());
    }

    /// The body as a whole is wrong, or the request around it.
    static ApiException request(int status, String code, String message) {
        return new ApiException(
                status, "invalid_request_error", message, Optional.empty(), Optional.of(code), Map.of());
    }

    /// 405 with the method that is there.
    static ApiException method(String allowed) {
        return new ApiException(
                405,
                "invalid_request_error",
                "only " + allowed + " is answered here",
                Optional.empty(),
                Optional.of("method_not_allowed"),
                Map.of("Allow", allowed));
    }

    /// 404, as OpenAI has it.
    static ApiException noModel(String name, String there) {
        return new ApiException(
                404,
                "invalid_request_error",
                "the model '" + Shown.of(name) + "' is not served here; there is " + there,
                Optional.of("model"),
                Optional.of("model_not_found"),
                Map.of());
    }

    /// 401.
    static ApiException key() {
        return new ApiException(
                401,
                "invalid_request_error",
                "the API key is missing or wrong: send Authorization: Bearer KEY",
                Optional.empty(),
                Optional.of("invalid_api_key"),
                Map.of("WWW-Authenticate", "Bearer"));
    }

    /// 429: come back later.
    static ApiException busy(String message, int seconds) {
        return new ApiException(
                429,
                "rate_limit_error",
                message,
                Optional.empty(),
                Optional.of("queue_full"),
                Map.of("Retry-After", Integer.toString(seconds)));
    }

    /// 503.
    static ApiException closing() {
        return new ApiException(
                503,
                "server_error",
                "the server is shutting down",
                Optional.empty(),
                Optional.of("shutting_down"),
                Map.of("Retry-After", "5"));
    }

    /// 500: the program or the machine failed.
    static ApiException failed(String message) {
        return new ApiException(500, "server_error", message, Optional.empty(), Optional.of("failed"), Map.of());
    }

    /// The stream of a client that does not keep up.
    static ApiException slow() {
        return new ApiException(
                400,
                "invalid_request_error",
                "dropped: the stream was not read as fast as it was written",
                Optional.empty(),
                Optional.of("slow_reader"),
                Map.of());
    }

    int status() {
        return status;
    }

    /// Header fields beside it.
    Map<String, String> headers() {
        return headers;
    }

    /// What the client reads.
    ObjectNode json() {
        ObjectNode error = JsonNodeFactory.instance.objectNode().put("message", getMessage());
        error.put("type", type).put("param", param.orElse(null)).put("code", code.orElse(null));
        ObjectNode body = JsonNodeFactory.instance.objectNode();
        body.set("error", error);
        return body;
    }
}
