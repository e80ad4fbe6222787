package org.sftnative.template;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;

/// Arithmetic as Python's, on whole numbers of 64 bits: what does not fit is an error.
final class Numbers {
    private Numbers() {}

    static boolean isNumber(Value v) {
        return isWhole(v) || v instanceof Value.Real;
    }

    /// Whether it is an int to Python, as True and False are.
    static boolean isWhole(Value v) {
        return v instanceof Value.Int || v instanceof Value.Bool;
    }

    static boolean isNaN(Value v) {
        return v instanceof Value.Real r && Double.isNaN(r.value());
    }

    static long whole(Value v) {
        return switch (v) {
            case Value.Int i -> i.value();
            case Value.Bool b -> b.value() ? 1 : 0;
            default -> {
                Operators.defined(v);
                throw new TemplateFault("'" + v.typeName() + "' object cannot be interpreted as an integer");
            }
        };
    }

    static double real(Value v) {
        return v instanceof Value.Real r ? r.value() : whole(v);
    }

    /// Exact, also between long and double.
    static int compare(Value a, Value b) {
        if (isWhole(a) && isWhole(b)) {
            return Long.compare(whole(a), whole(b));
        }
        double x = real(a);
        double y = real(b);
        if (x != y || a instanceof Value.Real && b instanceof Value.Real || Double.isInfinite(x)) {
            return x < y ? -1 : x > y ? 1 : 0;
        }
        return exact(a).compareTo(exact(b));
    }

    private static BigDecimal exact(Value v) {
        return v instanceof Value.Real r ? new BigDecimal(r.value()) : BigDecimal.valueOf(whole(v));
    }

    static Value binary(Token.Op op, Value a, Value b, Budget budget) {
        if (op == Token.Op.MODULO && a instanceof Str s) {
            return PercentFormat.apply(s, b, budget);
        }
        if (isNumber(a) && isNumber(b)) {
            try {
                return isWhole(a) && isWhole(b) ? wholes(op, whole(a), whole(b)) : reals(op, real(a), real(b));
            } catch (ArithmeticException _) {
                throw new TemplateFault("a whole number does not fit 64 bits");
            }
        }
        return sequences(op, a, b, budget).orElseThrow(() -> {
            Operators.defined(a);
            Operators.defined(b);
            return new TemplateFault("unsupported operand type(s) for " + op.sign() + ": '" + a.typeName() + "' and '"
                    + b.typeName() + "'");
        });
    }

    private static Value wholes(Token.Op op, long a, long b) {
        return switch (op) {
            case PLUS -> new Value.Int(Math.addExact(a, b));
            case MINUS -> new Value.Int(Math.subtractExact(a, b));
            case TIMES -> new Value.Int(Math.multiplyExact(a, b));
            case DIVIDE -> {
                checkDivisor(b);
                // both sides exact in a double, or Python's correctly rounded quotient of whole numbers
                yield new Value.Real(
                        Math.abs(a) <= 1L << 53 && Math.abs(b) <= 1L << 53
                                ? (double) a / b
                                : BigDecimal.valueOf(a)
                                        .divide(BigDecimal.valueOf(b), new java.math.MathContext(60))
                                        .doubleValue());
            }
            case FLOOR_DIVIDE -> {
                checkDivisor(b);
                yield new Value.Int(Math.floorDivExact(a, b));
            }
            case MODULO -> {
                checkDivisor(b);
                yield new Value.Int(Math.floorMod(a, b));
            }
            default -> power(a, b);
        };
    }

    private static Value power(long base, long exponent) {
        if (exponent < 0) {
            checkDivisor(base);
            return new Value.Real(Math.pow(base, exponent));
        }
        if (base == 0 || base == 1) {
            return new Value.Int(exponent == 0 ? 1 : base);
        }
        if (base == -1) {
            return new Value.Int(exponent % 2 == 0 ? 1 : -1);
        }
        long result = 1;
        for (long i = 0; i < exponent; i++) {
            result = Math.multiplyExact(result, base);
        }
        return new Value.Int(result);
    }

    private static Value reals(Token.Op op, double a, double b) {
        return new Value.Real(
                switch (op) {
                    case PLUS -> a + b;
                    case MINUS -> a - b;
                    case TIMES -> a * b;
                    case DIVIDE -> {
                        checkDivisor(b);
                        yield a / b;
                    }
                    case FLOOR_DIVIDE -> {
                        checkDivisor(b);
                        double quotient = (a - remainder(a, b)) / b;
                        yield Double.isFinite(quotient) ? Math.rint(quotient) : quotient;
                    }
                    case MODULO -> {
                        checkDivisor(b);
                        yield remainder(a, b);
                    }
                    default -> {
                        double power = Math.pow(a, b);
                        if (Double.isNaN(power) && !Double.isNaN(a) && !Double.isNaN(b)
                                || Double.isInfinite(power) && Double.isFinite(a) && Double.isFinite(b)) {
                            throw new TemplateFault("the power of two numbers is no real number");
                        }
                        yield power;
                    }
                });
    }

    /// With the divisor's sign.
    private static double remainder(double a, double b) {
        double r = a % b;
        if (r == 0) {
            return Math.copySign(0.0, b);
        }
        return r < 0 != b < 0 ? r + b : r;
    }

    private static void checkDivisor(double divisor) {
        if (divisor == 0) {
            throw new TemplateFault("division by zero");
        }
    }

    private static Optional<Value> sequences(Token.Op op, Value a, Value b, Budget budget) {
        if (op == Token.Op.PLUS && a instanceof Str s && b instanceof Str t) {
            boolean markup = s.markup() || t.markup();
            Str left = markup && !s.markup() ? s.escaped(budget) : s;
            Str right = markup && !t.markup() ? t.escaped(budget) : t;
            Str sum = new TextBuilder(budget).append(left).append(right).build();
            return Optional.of(markup ? sum.asMarkup() : sum);
        }
        if (op == Token.Op.PLUS
                && a instanceof Seq x
                && b instanceof Seq y
                && (x.kind() == Seq.Kind.LIST && y.kind() == Seq.Kind.LIST
                        || x.kind().isTuple() && y.kind().isTuple())) {
            budget.items(x.items().size() + (long) y.items().size());
            List<Value> items = new ArrayList<>(x.items());
            items.addAll(y.items());
            return Optional.of(new Seq(items, x.kind().isTuple() ? Seq.Kind.TUPLE : Seq.Kind.LIST));
        }
        if (op == Token.Op.TIMES) {
            return isWhole(b)
                    ? repeated(a, whole(b), budget)
                    : isWhole(a) ? repeated(b, whole(a), budget) : Optional.empty();
        }
        return Optional.empty();
    }

    private static Optional<Value> repeated(Value v, long times, Budget budget) {
        long count = Math.max(0, times);
        return switch (v) {
            case Str s -> {
                TextBuilder out = new TextBuilder(budget);
                for (long i = 0; i < count && !s.text().isEmpty(); i++) {
                    out.append(s);
                }
                Str made = out.build();
                yield Optional.of(s.markup() ? made.asMarkup() : made);
            }
            case Seq seq
            when seq.kind() == Seq.Kind.LIST || seq.kind().isTuple() -> {
                int size = seq.items().size();
                if (size == 0 || count == 0) {
                    yield Optional.of(new Seq(List.of(), seq.kind()));
                }
                budget.items(count > Long.MAX_VALUE / size ? Long.MAX_VALUE : count * size);
                List<Value> items = new ArrayList<>();
                Collections.nCopies((int) count, seq.items()).forEach(items::addAll);
                yield Optional.of(new Seq(items, seq.kind()));
            }
            default -> Optional.empty();
        };
    }

    static Value negated(Value v, boolean negative) {
        Operators.defined(v);
        if (!isNumber(v)) {
            throw new TemplateFault(
                    "bad operand type for unary " + (negative ? "-" : "+") + ": '" + v.typeName() + "'");
        }
        if (v instanceof Value.Real r) {
            return negative ? new Value.Real(-r.value()) : r;
        }
        if (negative && whole(v) == Long.MIN_VALUE) {
            throw new TemplateFault("a whole number does not fit 64 bits");
        }
        return new Value.Int(negative ? -whole(v) : whole(v));
    }

    /// Python's `round`: half to even, of the exact value.
    static Value rounded(Value v, long digits) {
        if (isWhole(v)) {
            return digits >= 0
                    ? new Value.Int(whole(v))
                    : toWhole(BigDecimal.valueOf(whole(v)).setScale(scale(digits), RoundingMode.HALF_EVEN));
        }
        double r = real(v);
        if (!Double.isFinite(r) || digits > 330) {
            return new Value.Real(r);
        }
        double result = new BigDecimal(r)
                .setScale(scale(digits), RoundingMode.HALF_EVEN)
                .doubleValue();
        return new Value.Real(Math.copySign(result, r));
    }

    private static int scale(long digits) {
        return (int) Math.max(digits, -330);
    }

    /// The whole part of a number.
    static Value toWhole(BigDecimal number) {
        var whole = number.toBigInteger();
        if (whole.bitLength() > 63) {
            throw new TemplateFault("a whole number does not fit 64 bits");
        }
        return new Value.Int(whole.longValue());
    }
}
