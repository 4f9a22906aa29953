# What saemix, nlme and lme4 find on an example: a line `program seconds name=value ..` for each, seconds of processor
# time, and parameters by the names of peers.toml.      Rscript peers.R EXAMPLE TABLE.csv
suppressMessages({ library(nlme) })
arguments <- commandArgs(trailingOnly = TRUE)
example <- arguments[1]
table <- read.csv(arguments[2])

say <- function(program, fit) {
  began <- proc.time()
  found <- tryCatch(suppressWarnings(suppressMessages(fit())), error = function(e) conditionMessage(e))
  used <- sum((proc.time() - began)[1:2])
  if (is.character(found)) cat(program, "failed:", gsub("\n", " ", found), "\n")
  else cat(program, used, paste(names(found), sprintf("%.12g", found), sep = "=", collapse = " "), "\n")
}

# saemix: parameters with their transformation (0 normal, 1 log-normal), start and whether they vary; what is said of
# fixed effects is renamed by `names`, of SDs by `varies`.
by_saemix <- function(model, group, predictors, response, start, transform, varies, names, type = "structural",
                      covariate = NULL, covariates = NULL, full = FALSE, init = NULL) {
  suppressMessages(library(saemix))
  n <- length(start)
  data <- saemixData(name.data = table, name.group = group, name.predictors = predictors, name.response = response,
                     name.covariates = covariates, verbose = FALSE)
  covariance <- if (full) outer(varies, varies) else diag(as.numeric(varies), n)
  psi0 <- matrix(start, ncol = n, dimnames = list(NULL, names(varies)))
  model <- saemixModel(model, modeltype = type, psi0 = psi0, transform.par = transform, covariance.model = covariance,
                       covariate.model = if (is.null(covariate)) matrix(ncol = 0, nrow = 0) else matrix(covariate, ncol = n),
                       omega.init = if (is.null(init)) diag(n) else init, verbose = FALSE)
  options <- list(seed = 1, save = FALSE, save.graphs = FALSE, print = FALSE, displayProgress = FALSE, fim = FALSE,
                  ll.is = FALSE, map = FALSE)
  r <- saemix(model, data, options)@results
  sds <- sqrt(diag(r@omega))[as.logical(varies)]
  found <- c(setNames(as.numeric(r@fixed.effects), names), setNames(sds, paste0("omega_", names(varies)[as.logical(varies)])))
  if (type == "structural") found <- c(found, a = r@respar[1])
  if (full) found[paste0("corr_", paste(names(varies), collapse = "_"))] <- r@omega[1, 2] / prod(sds)
  found
}

by_nlme <- function(fit, names, effects, power = FALSE) {
  sds <- as.numeric(VarCorr(fit)[effects, "StdDev"])
  found <- c(setNames(as.numeric(fixef(fit)), names), setNames(sds, paste0("omega_", effects)), a = fit$sigma)
  if (power) found["power"] <- as.numeric(coef(fit$modelStruct$varStruct))
  found
}

one_compartment <- function(psi, id, x) {
  ka <- psi[id, 1]; V <- psi[id, 2]; k <- psi[id, 3] / V
  x[, 1] * ka / (V * (ka - k)) * (exp(-k * x[, 2]) - exp(-ka * x[, 2]))
}
emax <- function(psi, id, x) psi[id, 1] + psi[id, 2] * x[, 1] / (psi[id, 3] + x[, 1])
growth <- function(psi, id, x) psi[id, 1] * (1 - psi[id, 2] * exp(-psi[id, 3] * x[, 1]))
plateau <- function(psi, id, x) psi[id, 1] + psi[id, 3] * pmin(x[, 1] - psi[id, 2], 0)
poisson <- function(psi, id, x) { rate <- exp(psi[id, 1] + psi[id, 2] * x[, 1]); -rate + x[, 2] * log(rate) - lgamma(x[, 2] + 1) }
binary <- function(psi, id, x) { eta <- psi[id, 1] + psi[id, 2] * x[, 1]; plogis(ifelse(x[, 2] == 1, eta, -eta), log.p = TRUE) }
ordinal <- function(psi, id, x) {
  y <- x[, 1]; at <- psi[id, 1] + psi[id, 5] * x[, 2]
  p <- cbind(0, plogis(at), plogis(at + psi[id, 2]), plogis(at + psi[id, 2] + psi[id, 3]),
             plogis(at + psi[id, 2] + psi[id, 3] + psi[id, 4]), 1)
  log(p[cbind(seq_along(y), y + 1)] - p[cbind(seq_along(y), y)])
}
weibull <- function(psi, id, x) {
  t <- x[, 1]; scale <- psi[id, 1]; shape <- psi[id, 2]
  ifelse(t == 0, 0, -(t / scale)^shape + ifelse(x[, 2] == 1, log(shape / scale) + (shape - 1) * log(t / scale), 0))
}
all <- function(...) setNames(rep(1, ...length()), c(...))

cases <- list(
  theo = list(saemix = function() by_saemix(one_compartment, "Id", c("Dose", "Time"), "Concentration", c(1, 20, 0.5), c(1, 1, 1),
    all("ka", "V", "CL"), c("ka_pop", "V_pop", "CL_pop"))),
  theo_weight = list(saemix = function() by_saemix(one_compartment, "Id", c("Dose", "Time"), "Concentration", c(1, 20, 0.5), c(1, 1, 1),
    all("ka", "V", "CL"), c("ka_pop", "V_pop", "CL_pop", "beta"), covariate = c(0, 0, 1), covariates = "Weight")),
  PD1 = list(saemix = function() by_saemix(emax, "subject", "dose", "response", c(20, 300, 20), c(1, 1, 1),
    all("E0", "Emax", "EC50"), c("E0_pop", "Emax_pop", "EC50_pop"))),
  PD2 = list(saemix = function() by_saemix(emax, "subject", "dose", "response", c(20, 300, 20), c(1, 1, 1),
    all("E0", "Emax", "EC50"), c("E0_pop", "Emax_pop", "EC50_pop", "beta"), covariate = c(0, 0, 1), covariates = "gender")),
  cow = list(saemix = function() by_saemix(growth, "cow", "time", "weight", c(700, 0.9, 0.02), c(1, 1, 1),
    all("A", "B", "k"), c("A_pop", "B_pop", "k_pop"))),
  yield = list(saemix = function() by_saemix(plateau, "site", "dose", "yield", c(8, 100, 0.2), c(0, 0, 0),
    all("Ymax", "Xmax", "slope"), c("Ymax_pop", "Xmax_pop", "slope_pop"))),
  rapi = list(saemix = function() by_saemix(poisson, "id", c("time", "rapi"), "rapi", c(log(5), 0.01), c(0, 0),
    all("intercept", "slope"), c("intercept_pop", "slope_pop"), type = "likelihood", full = TRUE, init = diag(c(0.5, 0.1)))),
  knee = list(saemix = function() {
    found <- by_saemix(ordinal, "id", c("y", "time"), "y", c(0, 0.2, 0.6, 3, 0.2), c(0, 1, 1, 1, 1),
      c(u = 1, two = 0, three = 0, four = 0, beta = 1), c("c1", "c2", "c3", "c4", "beta_pop"), type = "likelihood",
      init = diag(c(100, 1, 1, 1, 1)))
    found[1:4] <- cumsum(found[1:4])
    found
  }),
  lung = list(saemix = function() by_saemix(weibull, "id", c("time", "status"), "status", c(1, 2), c(1, 1),
    c(tau = 1, k = 0), c("tau_pop", "k"), type = "likelihood")),
  toenail = list(
    saemix = function() by_saemix(binary, "id", c("time", "y"), "y", c(-5, -0.1), c(0, 0), c(level = 1, slope = 0),
      c("level_pop", "slope", "effect"), type = "likelihood", covariate = c(0, 1), covariates = "treatment"),
    glmer_25 = function() by_glmer(25), glmer_50 = function() by_glmer(50)),
  Orange = list(nlme = function() by_nlme(nlme(circumference ~ SSlogis(age, Asym, xmid, scal), table, Asym + xmid + scal ~ 1,
    Asym ~ 1 | Tree, start = c(Asym = 190, xmid = 700, scal = 350)), c("Asym_pop", "xmid", "scal"), "Asym")),
  Loblolly = list(nlme = function() by_nlme(nlme(height ~ SSasymp(age, Asym, R0, lrc), table, Asym + R0 + lrc ~ 1,
    Asym ~ 1 | Seed, start = c(Asym = 103, R0 = -8.5, lrc = -3.3)), c("Asym_pop", "R0", "lrc"), "Asym")),
  Indometh = list(nlme = function() by_nlme(nlme(conc ~ SSbiexp(time, A1, lrc1, A2, lrc2), table, A1 + lrc1 + A2 + lrc2 ~ 1,
    list(Subject = pdDiag(A1 + lrc1 + A2 ~ 1)), start = c(A1 = 2.8, lrc1 = 0.8, A2 = 0.5, lrc2 = -1.3)),
    c("A1_pop", "lrc1_pop", "A2_pop", "lrc2"), c("A1", "lrc1", "A2"))),
  Soybean = list(nlme = function() by_nlme(nlme(weight ~ SSlogis(Time, Asym, xmid, scal), table, Asym + xmid + scal ~ 1,
    list(Plot = pdDiag(Asym + xmid + scal ~ 1)), start = c(Asym = 17, xmid = 52, scal = 7.5), weights = varPower()),
    c("Asym_pop", "xmid_pop", "scal_pop"), c("Asym", "xmid", "scal"), power = TRUE)),
  CO2 = list(nlme = function() by_nlme(nlme(uptake ~ Asym * (1 - exp(-exp(lrc) * (conc - c0))), table, Asym + lrc + c0 ~ 1,
    list(Plant = pdDiag(Asym + lrc ~ 1)), start = c(Asym = 32, lrc = -4.6, c0 = 50)), c("Asym_pop", "lrc_pop", "c0"), c("Asym", "lrc"))),
  Wafer = list(lme = function() {
    table$cluster <- interaction(table$Wafer, table$Site)
    fit <- lme(current ~ voltage + I(voltage^2) + cos(4.5679 * voltage) + sin(4.5679 * voltage), table,
               list(cluster = pdDiag(~ voltage + I(voltage^2))), method = "ML")
    sds <- as.numeric(VarCorr(fit)[1:3, "StdDev"])
    c(setNames(as.numeric(fixef(fit)), c("A_pop", "B_pop", "C_pop", "d", "e")), setNames(sds, c("omega_A", "omega_B", "omega_C")), a = fit$sigma)
  })
)
by_glmer <- function(nodes) {
  fit <- lme4::glmer(y ~ time + time:treatment + (1 | id), table, family = binomial, nAGQ = nodes)
  c(setNames(as.numeric(lme4::fixef(fit)), c("level_pop", "slope", "effect")), omega_level = lme4::getME(fit, "theta")[[1]])
}
for (program in names(cases[[example]])) say(program, cases[[example]][[program]])
